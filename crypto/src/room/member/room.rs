//! A room that this device is in.

use posthouse_spec::policy::{Change, Member};
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{
    AccountId, ChainSeq, CommitHash, Domain, Epoch, EventHash, KeyPackageHash, Millis, RoomId,
};
use rand_core::CryptoRng;

use super::Keys;
use crate::room::{RoomError, RosterMember};
use crate::secret::SigningKey;

/// What a leaf claim is made from.
#[derive(Debug, Clone)]
pub struct LeafIdentity<'a> {
    /// The account.
    pub account: AccountId,
    /// Its home relay.
    pub home: Domain,
    /// The device's key, which signs the claim.
    pub device: &'a SigningKey,
    /// A position of the account's chain at which the device is active.
    pub seq: ChainSeq,
    /// The hash of the event there.
    pub head: EventHash,
}

/// A key package whose private part is in the [`Keys`]. Take the writes and make them durable before it is uploaded.
#[derive(Debug, Clone)]
pub struct NewKeyPackage {
    /// The KeyPackage as an MLSMessage.
    pub bytes: Vec<u8>,
    /// Its name.
    pub hash: KeyPackageHash,
}

/// A commit that waits for its decision.
#[derive(Debug, Clone)]
pub struct Proposed {
    /// The commit as an MLSMessage.
    pub commit: Vec<u8>,
    /// The Welcome as an MLSMessage, where it adds anybody.
    pub welcome: Option<Vec<u8>>,
    /// The GroupInfo of the new epoch with the ratchet tree, as an MLSMessage.
    pub group_info: Vec<u8>,
    /// The commit's name.
    pub hash: CommitHash,
    /// The epoch that it would end.
    pub epoch: Epoch,
}

/// A message that was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Who sent it.
    pub sender: Member,
    /// What they sent, unpadded.
    pub content: Vec<u8>,
    /// The epoch in which it was sealed.
    pub epoch: Epoch,
}

/// Makes a key package with a fresh leaf key; its private parts go into `keys`.
///
/// # Errors
/// MLS refuses, or there is no randomness.
pub fn key_package(
    _keys: &mut Keys,
    _id: &LeafIdentity<'_>,
    _suite: Suite,
    _last_resort: bool,
    _rng: &mut impl CryptoRng,
    _now: Millis,
) -> Result<NewKeyPackage, RoomError> {
    unimplemented!()
}

/// A room that this device is in.
pub struct Room {}

impl Room {
    /// Founds a room with this device as its only member; returns the GroupInfo with the tree for the hub.
    ///
    /// # Errors
    /// The context breaks a rule, or MLS refuses.
    pub fn found(
        _keys: &mut Keys,
        _id: &LeafIdentity<'_>,
        _room: RoomId,
        _suite: Suite,
        _context: &RoomContext,
        _rng: &mut impl CryptoRng,
        _now: Millis,
    ) -> Result<(Self, Vec<u8>), RoomError> {
        unimplemented!()
    }
    /// Opens a room from its keys.
    ///
    /// # Errors
    /// There are none, or they are damaged.
    pub fn load(_keys: &Keys, _room: &RoomId) -> Result<Self, RoomError> {
        unimplemented!()
    }
    /// Joins by a Welcome; the tree comes from the GroupInfo.
    ///
    /// # Errors
    /// What does not hold.
    pub fn join(_keys: &mut Keys, _welcome: &[u8], _group_info: &[u8]) -> Result<Self, RoomError> {
        unimplemented!()
    }
    /// The room.
    #[must_use]
    pub fn id(&self) -> RoomId {
        unimplemented!()
    }
    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        unimplemented!()
    }
    /// Its ciphersuite.
    #[must_use]
    pub fn suite(&self) -> Suite {
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
    /// Makes a commit that adds the owners of these key packages. It waits in the keys for its decision.
    ///
    /// # Errors
    /// A commit waits already, a key package does not hold, or policy forbids it.
    pub fn invite(&mut self, _keys: &mut Keys, _key_packages: &[Vec<u8>]) -> Result<Proposed, RoomError> {
        unimplemented!()
    }
    /// Makes a commit that removes these leaves.
    ///
    /// # Errors
    /// A commit waits already, or policy forbids it.
    pub fn remove(&mut self, _keys: &mut Keys, _leaves: &[u32]) -> Result<Proposed, RoomError> {
        unimplemented!()
    }
    /// The commit of one's own that waits for its decision.
    #[must_use]
    pub fn has_pending(&self) -> Option<CommitHash> {
        unimplemented!()
    }
    /// Merges one's own commit after its decision.
    ///
    /// # Errors
    /// None waits.
    pub fn merge_own(&mut self, _keys: &mut Keys) -> Result<Change, RoomError> {
        unimplemented!()
    }
    /// Drops one's own commit after another one was decided.
    ///
    /// # Errors
    /// The keys cannot be written.
    pub fn drop_own(&mut self, _keys: &mut Keys) -> Result<(), RoomError> {
        unimplemented!()
    }
    /// Applies somebody else's commit after its decision. A pending one of one's own is dropped.
    ///
    /// # Errors
    /// What does not hold.
    pub fn apply(&mut self, _keys: &mut Keys, _commit: &[u8]) -> Result<Change, RoomError> {
        unimplemented!()
    }
    /// Pads and seals content for the room.
    ///
    /// # Errors
    /// This device is no longer in the room, or the content is too large.
    pub fn seal(&mut self, _keys: &mut Keys, _content: &[u8]) -> Result<Vec<u8>, RoomError> {
        unimplemented!()
    }
    /// Opens a sealed message.
    ///
    /// # Errors
    /// It does not open; [`RoomError::WrongEpoch`] where its epoch is still to come.
    pub fn open(&mut self, _keys: &mut Keys, _body: &[u8]) -> Result<Opened, RoomError> {
        unimplemented!()
    }
    /// Deletes the message secrets of a past epoch, and of those before it.
    ///
    /// # Errors
    /// The keys cannot be written.
    pub fn forget_epoch(&mut self, _keys: &mut Keys, _epoch: Epoch) -> Result<(), RoomError> {
        unimplemented!()
    }
}
