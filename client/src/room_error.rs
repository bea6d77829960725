//! What can be wrong with what a person wants of a room.

use posthouse_spec::RoomId;
use posthouse_spec::room::{Role, RoomKind};

/// Why something cannot be done in a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomFault {
    /// There is no such room here, or it is of another kind.
    #[error("there is no group {0} in this vault: see `rooms`")]
    Unknown(RoomId),
    /// This device is not in the room any more, or it cannot go on.
    #[error("the room is {state} ({reason}): nothing can be sent or changed there")]
    Over {
        /// What it is.
        state: &'static str,
        /// Why.
        reason: String,
    },
    /// Somebody is not in the room.
    #[error("{0} is not in the room: see its members")]
    NotInRoom(String),
    /// The own role does not allow it.
    #[error("only {least}s of the room may {doing}, and this account is {role} there: ask one of them")]
    NotAllowed {
        /// What was tried.
        doing: &'static str,
        /// The least role that may.
        least: Role,
        /// The own role.
        role: Role,
    },
    /// The last owner cannot leave.
    #[error("you are the room's last owner: make somebody else an owner first, and leave then")]
    LastOwner,
    /// A room's name, description or picture is too long.
    #[error("the {what} has {len} bytes and a room takes at most {limit}: make it shorter")]
    InfoTooLong {
        /// Which.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// A room of this kind is not made this way.
    #[error("a room of many is a group or for announcements, not {0}")]
    NotAGroup(RoomKind),
    /// The change says nothing.
    #[error("a change of who may do what names at least one of write, add and change")]
    EmptyPolicy,
}

impl RoomFault {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-room",
            Self::Over { .. } => "room-over",
            Self::NotInRoom(_) => "not-in-room",
            Self::NotAllowed { .. } => "not-allowed",
            Self::LastOwner => "last-owner",
            Self::InfoTooLong { .. } => "room-info-too-long",
            Self::NotAGroup(_) => "not-a-group",
            Self::EmptyPolicy => "empty-policy",
        }
    }
}
