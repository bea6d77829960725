//! What can be wrong with something of a room.

use std::fmt;

use posthouse_spec::policy::PolicyRule;
use posthouse_spec::{Epoch, Malformed, RoomId};

use crate::sign::VerifyError;

/// Why somebody's word that they leave does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaveFault {
    /// The signature, or what was signed.
    #[error("the word of who leaves: {0}")]
    Signature(#[from] VerifyError),
    /// It was said of another room.
    #[error("the word of who leaves is for another room")]
    OtherRoom,
    /// No device that is in the room has signed it for its own account.
    #[error("no device of that account which is in the room has signed that it leaves")]
    NotTheirs,
    /// The commit removes none of the leaves that it names.
    #[error("the commit removes none of the leaves that go by this word")]
    NobodyGoes,
}

/// Why something of a room is refused or fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The bytes are no MLS message of the kind that was expected.
    #[error("malformed: these bytes are not {expected}")]
    Malformed {
        /// What they ought to be.
        expected: &'static str,
    },
    /// Larger than the protocol admits.
    #[error("too-large: {what} of {len} bytes, the limit is {limit}")]
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// A ciphersuite that rooms do not use.
    #[error("unknown-suite: ciphersuite {0:#06x} is not one that rooms use")]
    UnknownSuite(u16),
    /// The group id is not 32 bytes.
    #[error("bad-room-id: an MLS group id of this protocol has 32 bytes")]
    BadRoomId,
    /// The room's agreed context is missing or malformed.
    #[error("bad-context: the room context extension is absent or malformed: {0}")]
    BadContext(Malformed),
    /// The group does not require of its members what this protocol needs.
    #[error("bad-requirements: the group's required capabilities are not those of this protocol")]
    BadRequirements,
    /// A leaf's claim does not hold.
    #[error("leaf-claim: {0}")]
    LeafClaim(#[from] LeafClaimFault),
    /// The room's policy forbids it.
    #[error("policy: {0}")]
    Policy(PolicyRule),
    /// An external commit without the device's word, or with one that does not hold.
    #[error("rejoin: the external commit lacks its device's word for it: {0}")]
    Rejoin(VerifyError),
    /// The device's word is for another room, epoch or leaf.
    #[error("rejoin: the device's word is for another room, epoch or leaf")]
    RejoinElsewhere,
    /// A commit's authenticated data is not that of one that lets others go.
    #[error("departures: the commit's authenticated data is malformed: {0}")]
    Departures(Malformed),
    /// Somebody's word that they leave does not hold.
    #[error("leave: {0}")]
    Leave(LeaveFault),
    /// Of another epoch than the room's.
    #[error("wrong-epoch: the room is in epoch {ours}, this belongs to epoch {theirs}")]
    WrongEpoch {
        /// The room's epoch here.
        ours: Epoch,
        /// The epoch of what was handed in.
        theirs: Epoch,
    },
    /// Of another room.
    #[error("wrong-room: this belongs to room {theirs:?}, not to {ours:?}")]
    WrongRoom {
        /// The room that it was handed to.
        ours: RoomId,
        /// The room that it names.
        theirs: RoomId,
    },
    /// No state of this room is kept here.
    #[error("unknown-room: no keys of room {0:?} are kept here")]
    UnknownRoom(RoomId),
    /// Two parties that ought to see the same tree do not.
    #[error("disagreement: the group info's {0} is not the one that the commits lead to")]
    Disagreement(&'static str),
    /// The decision does not hold, or is for something else.
    #[error("decision: {0}")]
    Decision(&'static str),
    /// The decision's signature does not hold.
    #[error("decision: {0}")]
    DecisionSignature(VerifyError),
    /// No key package of this device is named in the Welcome, or its private part is gone.
    #[error("no-key-package: the Welcome is for no key package whose private part is kept here")]
    NoKeyPackage,
    /// A commit of one's own is waiting for its decision.
    #[error("pending-commit: a commit of this device waits for its decision; merge or drop it first")]
    PendingCommit,
    /// No commit of one's own is waiting.
    #[error("no-pending-commit: this device has made no commit that waits for a decision")]
    NoPendingCommit,
    /// The Welcome is for a room that this device is in.
    #[error("already-a-member: this device is in the room already")]
    AlreadyMember,
    /// This device sealed the message itself.
    #[error("own-message: this device sealed the message itself, and cannot open it")]
    OwnMessage,
    /// This device is about to rejoin, and its commit waits for the decision.
    #[error(
        "rejoining: this device's rejoining waits for its decision; rejoin again if another commit was decided"
    )]
    Rejoining,
    /// This device is no longer in the room.
    #[error("not-a-member: this device is no longer in the room")]
    NotMember,
    /// The content's padding is wrong.
    #[error("bad-content: {0}")]
    BadContent(Malformed),
    /// The message was opened before, its epoch's secrets are gone, or it was altered.
    #[error("does-not-open: the message was opened before, is of a forgotten epoch, or was altered ({0})")]
    DoesNotOpen(String),
    /// The operating system gives no randomness.
    #[error("no-randomness: the operating system gives no randomness")]
    NoRandomness,
    /// The kept state is damaged, or was written by another version.
    #[error("bad-state: the kept state of the room cannot be read: {0}")]
    BadState(String),
    /// MLS refuses it for another reason.
    #[error("mls: {0}")]
    Mls(String),
}

impl RoomError {
    /// What the MLS library says, in its words.
    pub(super) fn mls(error: impl fmt::Display) -> Self {
        Self::Mls(error.to_string())
    }
}

/// Why a leaf's claim does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafClaimFault {
    /// The credential is not of this protocol's type.
    #[error("the leaf's credential is of type {0:#06x}, not a leaf claim")]
    CredentialType(u16),
    /// The credential's content is no signed claim.
    #[error("the leaf's claim is malformed: {0}")]
    Malformed(Malformed),
    /// The device's signature does not hold.
    #[error("the leaf's claim is not signed by its device: {0}")]
    Signature(VerifyError),
    /// The claim is for another leaf's signature key.
    #[error("the leaf's claim is for another signature key than the leaf's")]
    LeafKey,
    /// The leaf has an MLS lifetime that ends, so that a clock would decide whether a commit holds.
    #[error("the leaf's MLS lifetime is limited: it must be without end")]
    Lifetime,
}
