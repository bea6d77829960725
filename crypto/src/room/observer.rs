//! The observer: a room as every relay that takes part sees it.

use posthouse_spec::policy::Change;
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{CommitHash, Domain, Epoch, RoomId};

use super::{RoomError, RosterMember};

/// A room's public state: who is in it, and what it agreed on. It can decrypt nothing.
#[derive(Debug)]
pub struct Observer {}

/// A commit that has been judged and may be applied.
#[derive(Debug)]
pub struct Judged {
    /// What it does.
    pub change: Change,
    /// Its name.
    pub commit: CommitHash,
    /// The epoch that it ends.
    pub epoch: Epoch,
}

impl Observer {
    /// Starts to observe from a GroupInfo with its ratchet tree, and checks every leaf's claim.
    ///
    /// # Errors
    /// What does not hold.
    pub fn from_group_info(_group_info: &[u8]) -> Result<Self, RoomError> {
        unimplemented!()
    }
    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        unimplemented!()
    }
    /// Its ciphersuite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        unimplemented!()
    }
    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        unimplemented!()
    }
    /// What the room agreed on.
    #[must_use]
    pub fn context(&self) -> &RoomContext {
        unimplemented!()
    }
    /// Every leaf, in the order of the tree.
    #[must_use]
    pub fn members(&self) -> Vec<RosterMember> {
        unimplemented!()
    }
    /// The relays that take part, sorted.
    #[must_use]
    pub fn relays(&self) -> Vec<Domain> {
        unimplemented!()
    }
    /// Judges a commit; nothing changes here until [`Observer::apply`].
    ///
    /// # Errors
    /// What does not hold; [`RoomError::Policy`] names the rule of the room.
    pub fn judge(&self, _commit: &[u8]) -> Result<Judged, RoomError> {
        unimplemented!()
    }
    /// Moves to the next epoch.
    ///
    /// # Errors
    /// The commit was judged in another epoch.
    pub fn apply(&mut self, _judged: Judged) -> Result<(), RoomError> {
        unimplemented!()
    }
    /// Checks that a GroupInfo describes the state that stands here: same room, epoch, tree and context.
    ///
    /// # Errors
    /// What differs.
    pub fn agrees_with(&self, _group_info: &[u8]) -> Result<(), RoomError> {
        unimplemented!()
    }
    /// The state as bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        unimplemented!()
    }
    /// The state from [`Observer::snapshot`].
    ///
    /// # Errors
    /// The bytes are damaged.
    pub fn restore(_snapshot: &[u8]) -> Result<Self, RoomError> {
        unimplemented!()
    }
}
