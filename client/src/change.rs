//! What is wanted of a room of many, as the world outside sees it. The field names are stable: they are the JSON of the
//! program, and that of the vault.

use std::fmt;
use std::str::FromStr;

use posthouse_spec::room::Role;
use posthouse_spec::{AccountId, Alias, RoomId};
use serde::{Deserialize, Serialize};

use crate::error::ClientError;
use crate::words;

/// Names somebody: by alias, or by account where no alias is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// By alias.
    Alias(Alias),
    /// By account.
    Account(AccountId),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => write!(f, "{alias}"),
            Self::Account(account) => write!(f, "{account}"),
        }
    }
}

impl FromStr for Who {
    type Err = ClientError;
    fn from_str(text: &str) -> Result<Self, ClientError> {
        if !text.contains('@')
            && let Ok(account) = text.parse()
        {
            return Ok(Self::Account(account));
        }
        Ok(Self::Alias(text.parse()?))
    }
}

impl TryFrom<String> for Who {
    type Error = ClientError;
    fn try_from(text: String) -> Result<Self, ClientError> {
        text.parse()
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

impl From<Alias> for Who {
    fn from(alias: Alias) -> Self {
        Self::Alias(alias)
    }
}

/// A change that a person wants of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "want", rename_all = "kebab-case")]
pub enum RoomChange {
    /// Somebody comes into the room with all their devices.
    Add {
        /// Who.
        alias: Alias,
    },
    /// Somebody goes, with all their devices.
    Remove {
        /// Who.
        member: Who,
    },
    /// Somebody's role becomes another.
    Role {
        /// Who.
        member: Who,
        /// Their role from then on.
        #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
        role: Role,
    },
    /// Who may do what becomes otherwise; what is absent stays as it is.
    Policy {
        /// The least role that writes.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "words::optional_role")]
        write: Option<Role>,
        /// The least role that adds members.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "words::optional_role")]
        add: Option<Role>,
        /// The least role that changes name, picture and settings.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "words::optional_role")]
        change: Option<Role>,
    },
    /// Somebody goes, if they are in the room, and is not taken in again.
    Ban {
        /// Who.
        member: Who,
    },
    /// Somebody may be taken in again.
    Unban {
        /// Who.
        member: Who,
    },
    /// Somebody else becomes the owner in the place of this account, which stays as an admin.
    Transfer {
        /// Who.
        member: Who,
    },
}

impl RoomChange {
    /// Whom it is about, if it is about somebody.
    #[must_use]
    pub fn about(&self) -> Option<Who> {
        match self {
            Self::Add { alias } => Some(Who::Alias(alias.clone())),
            Self::Remove { member }
            | Self::Role { member, .. }
            | Self::Ban { member }
            | Self::Unban { member }
            | Self::Transfer { member } => Some(member.clone()),
            Self::Policy { .. } => None,
        }
    }
}

impl fmt::Display for RoomChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { alias } => write!(f, "add {alias}"),
            Self::Remove { member } => write!(f, "remove {member}"),
            Self::Role { member, role } => write!(f, "make {member} {role}"),
            Self::Policy { .. } => write!(f, "change who may do what"),
            Self::Ban { member } => write!(f, "ban {member}"),
            Self::Unban { member } => write!(f, "unban {member}"),
            Self::Transfer { member } => write!(f, "make {member} the owner"),
        }
    }
}

/// What became of a change so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// It waits for its turn; the reason says for what, where that is known.
    Waiting,
    /// It is in a commit that the hub has not decided yet.
    Deciding,
    /// The room is as it was wanted.
    Done,
    /// It will not be done; the reason says why.
    Refused,
}

impl ChangeState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deciding => "deciding",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Deciding, Self::Done, Self::Refused]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A wanted change with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStatus {
    /// Its place among all changes of this vault: later is larger.
    pub id: u64,
    /// The room.
    pub room: RoomId,
    /// What is wanted.
    #[serde(flatten)]
    pub change: RoomChange,
    /// What became of it.
    pub state: ChangeState,
    /// Why it waits or was refused.
    pub reason: Option<String>,
}
