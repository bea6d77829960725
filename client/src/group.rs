//! A room of many, as the world outside sees it: who is in it, what it says of itself, and what happened in it. The field
//! names are stable: they are the JSON of the program, and that of the vault.

use posthouse_spec::client::http::Base64;
use posthouse_spec::room::{Role, RoomKind, Suite};
use posthouse_spec::{AccountId, Alias, Domain};
use serde::{Deserialize, Serialize};

use crate::words;

/// What a new room is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// A group, or a room for announcements.
    pub kind: RoomKind,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Who is invited to it.
    pub members: Vec<Alias>,
    /// Its ciphersuite.
    pub suite: Suite,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomMember {
    /// The alias by which they are known here.
    pub alias: Option<Alias>,
    /// The account.
    pub account: AccountId,
    /// Their role.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
    pub role: Role,
    /// Their relay, as their devices say.
    pub home: Domain,
    /// How many of their devices are in the room.
    pub devices: u64,
    /// Whether it is this account.
    pub own: bool,
    /// Whether they said that they leave, and no commit has let them go yet.
    pub leaving: bool,
    /// Why it is not known yet who they are.
    pub reason: Option<String>,
}

/// A room's name, description and picture.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoomProfile {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Its picture, as an image file of at most 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Base64>,
}

/// What is to become of a room's picture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PictureChange {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Clear,
    /// It becomes this image file.
    Set(Vec<u8>),
}

/// A change of a room's name, description or picture; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// The name.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// The picture.
    pub picture: PictureChange,
}

/// What a line of a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// What somebody said.
    Text,
    /// What happened in the room.
    Room,
}

impl MessageKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Room => "room",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Room].into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that happened in a room, as a line of its history has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "kebab-case")]
pub enum RoomNews {
    /// People came into the room.
    Added {
        /// By whom; absent where that could not be told.
        by: Option<AccountId>,
        /// Who.
        accounts: Vec<AccountId>,
    },
    /// People were removed.
    Removed {
        /// By whom.
        by: Option<AccountId>,
        /// Who.
        accounts: Vec<AccountId>,
    },
    /// People left.
    Left {
        /// Who.
        accounts: Vec<AccountId>,
    },
    /// Somebody's role became another.
    Role {
        /// By whom.
        by: Option<AccountId>,
        /// Who.
        account: AccountId,
        /// Their role from then on.
        #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
        role: Role,
    },
    /// People are not taken in again.
    Banned {
        /// By whom.
        by: Option<AccountId>,
        /// Who.
        accounts: Vec<AccountId>,
    },
    /// People may be taken in again.
    Unbanned {
        /// By whom.
        by: Option<AccountId>,
        /// Who.
        accounts: Vec<AccountId>,
    },
    /// Who may do what became otherwise.
    Policy {
        /// By whom.
        by: Option<AccountId>,
        /// The least role that writes.
        #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
        write: Role,
        /// The least role that adds members.
        #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
        add: Role,
        /// The least role that changes name, picture and settings.
        #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
        change: Role,
    },
    /// The room got a name.
    Named {
        /// By whom.
        by: Option<AccountId>,
        /// Its name from then on.
        name: String,
    },
    /// The room's description or picture became another.
    Described {
        /// By whom.
        by: Option<AccountId>,
    },
}

impl RoomNews {
    /// Everybody whom it names.
    pub(crate) fn accounts(&self) -> Vec<AccountId> {
        let (by, others): (&Option<AccountId>, &[AccountId]) = match self {
            Self::Added { by, accounts }
            | Self::Removed { by, accounts }
            | Self::Banned { by, accounts }
            | Self::Unbanned { by, accounts } => (by, accounts),
            Self::Left { accounts } => (&None, accounts),
            Self::Role { by, account, .. } => (by, std::slice::from_ref(account)),
            Self::Policy { by, .. } | Self::Named { by, .. } | Self::Described { by } => (by, &[]),
        };
        by.iter().chain(others).copied().collect()
    }

    /// The line, with names from `name`.
    pub(crate) fn line(&self, name: &dyn Fn(&AccountId) -> String) -> String {
        let who = |by: &Option<AccountId>| by.as_ref().map_or_else(|| "somebody".to_owned(), name);
        let all = |accounts: &[AccountId]| listed(&accounts.iter().map(name).collect::<Vec<_>>());
        match self {
            Self::Added { by, accounts } => format!("{} added {}", who(by), all(accounts)),
            Self::Removed { by, accounts } => format!("{} removed {}", who(by), all(accounts)),
            Self::Left { accounts } => format!("{} left", all(accounts)),
            Self::Role { by, account, role } => {
                let role = match role {
                    Role::Owner => "an owner",
                    Role::Admin => "an admin",
                    Role::Member => "a member",
                };
                format!("{} made {} {role}", who(by), name(account))
            }
            Self::Banned { by, accounts } => format!("{} banned {}", who(by), all(accounts)),
            Self::Unbanned { by, accounts } => format!("{} unbanned {}", who(by), all(accounts)),
            Self::Policy { by, write, add, change } => format!(
                "{} changed who may do what: {} write, {} add members, {} change name and settings",
                who(by),
                those(*write),
                those(*add),
                those(*change)
            ),
            Self::Named { by, name } => format!("{} named the room \u{201c}{name}\u{201d}", who(by)),
            Self::Described { by } => format!("{} changed what the room says of itself", who(by)),
        }
    }
}

fn those(role: Role) -> &'static str {
    match role {
        Role::Member => "all",
        Role::Admin => "admins",
        Role::Owner => "owners",
    }
}

/// Names as a sentence lists them.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
