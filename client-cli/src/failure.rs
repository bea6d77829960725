//! Why a command failed, as scripts and people are told.

use std::fmt;

use posthouse_client::{Category, ClientError, HistoryError, RoomFault};
use posthouse_spec::client::Refusal;
use serde::{Deserialize, Serialize};

/// An exit code; the README documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Exit {
    /// Trouble of another kind.
    Other = 1,
    /// What was typed makes no sense.
    Usage = 2,
    /// A relay cannot be reached.
    Network = 3,
    /// A relay said no, or does not take us for who we say we are.
    Refused = 4,
    /// The vault is locked, damaged or opened the wrong way.
    Vault = 5,
    /// There is no such person, room or request.
    NotFound = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// The stable name of the category.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::Network => "network",
            Self::Refused => "refused",
            Self::Vault => "vault",
            Self::NotFound => "not-found",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The stable name.
    pub(crate) code: String,
    /// What was tried, why it failed, what to do.
    pub(crate) message: String,
    /// How the program ends.
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), exit }
    }

    pub(crate) fn usage(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// Whoever read our output has gone; there is nobody to complain to.
    pub(crate) fn pipe_closed() -> Self {
        Self::new(Exit::Other, "pipe-closed", "nobody reads the output any more")
    }

    pub(crate) fn is_pipe_closed(&self) -> bool {
        self.code == "pipe-closed"
    }

    /// A message that the relay would never take, by the stable name of the reason.
    pub(crate) fn undelivered(code: &str, message: impl Into<String>) -> Self {
        let refusal = Refusal::ALL.iter().copied().find(|refusal| refusal.name() == code);
        Self::new(refusal.map_or(Exit::Refused, exit_of_refusal), code, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::UnknownConversation(_)
            | ClientError::UnknownMessage(_)
            | ClientError::UnknownPerson(_)
            | ClientError::RoomFault(RoomFault::Unknown(_) | RoomFault::NotInRoom(_))
            | ClientError::NoRequest(_) => Exit::NotFound,
            ClientError::Refused { reason, .. } => exit_of_refusal(*reason),
            ClientError::History(error) => exit_of_history(error),
            other => match other.category() {
                Category::Usage => Exit::Usage,
                Category::Network => Exit::Network,
                Category::Auth | Category::Refused => Exit::Refused,
                Category::Vault => Exit::Vault,
            },
        };
        Self { code: error.code().to_owned(), message: error.to_string(), exit }
    }
}

fn exit_of_history(error: &HistoryError) -> Exit {
    match error {
        HistoryError::NotEnrolled(_) => Exit::Refused,
        HistoryError::OtherVault(_) | HistoryError::HasVault | HistoryError::Newer { .. } => Exit::Vault,
        HistoryError::Export(_)
        | HistoryError::File { .. }
        | HistoryError::NotOurs(_)
        | HistoryError::NoBackup(_)
        | HistoryError::Damaged { .. } => Exit::Other,
        _ => Exit::Usage,
    }
}

fn exit_of_refusal(reason: Refusal) -> Exit {
    match reason {
        Refusal::UnknownAccount | Refusal::UnknownRelay | Refusal::UnknownRoom | Refusal::NotFound => {
            Exit::NotFound
        }
        Refusal::RelayUnreachable | Refusal::Busy | Refusal::ShuttingDown | Refusal::Internal => {
            Exit::Network
        }
        _ => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_person_is_not_found() {
        assert_eq!(Failure::undelivered("unknown-account", "").exit, Exit::NotFound);
        assert_eq!(Failure::undelivered("something-new", "").exit, Exit::Refused);
    }
}
