//! Reading what an MLS message is before anything is believed of it.

use posthouse_spec::{Epoch, RoomId};

use super::RoomError;

/// What an MLS message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// A public commit.
    Commit,
    /// A public proposal.
    Proposal,
    /// A sealed message.
    Application,
}

/// What the outside of an MLS message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo {
    /// The room.
    pub room: RoomId,
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// What it carries.
    pub kind: MessageKind,
}

/// Reads the outside of an MLSMessage; nothing is verified.
///
/// # Errors
/// The bytes are no handshake in the clear and no sealed message.
pub fn inspect(_message: &[u8]) -> Result<MessageInfo, RoomError> {
    unimplemented!()
}
