//! The observer: a room as every relay that takes part sees it.
//!
//! It derives the roster from the tree itself, and judges each commit before it applies it. What it cannot check,
//! because that takes secrets: the confirmation and membership tags, the path secrets, and the external key in a
//! group info. So whoever uploads a commit signs its hash.

use std::fmt;

use openmls::prelude::{
    MlsMessageOut, ProcessedMessageContent, Proposal, ProposalStore, PublicGroup, StagedCommit,
};
use posthouse_spec::cbor::{Cbor, Reader, Writer};
use posthouse_spec::policy::{Change, evaluate_founding};
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{CommitHash, Domain, Epoch, KeyPackageHash, Malformed, RoomId};

use super::change::Before;
use super::codec::encode;
use super::credential::{members, relays, roster};
use super::public_store::{Parts, PublicStore};
use super::{RoomError, RosterMember, message, suite};
use crate::hash::{commit_hash, key_package_hash};

/// The version of a snapshot's format.
const SNAPSHOT_VERSION: u16 = 1;
/// Version, room, tree, context, interim transcript hash, confirmation tag.
const SNAPSHOT_PARTS: usize = 6;
/// The largest part of a snapshot, bytes: the tree of a full room is below 5 MiB.
const MAX_SNAPSHOT_PART: usize = 64 * 1024 * 1024;

/// A room's public state: who is in it, and what it agreed on. It can decrypt nothing.
pub struct Observer {
    group: PublicGroup,
    interim: Vec<u8>,
    room: RoomId,
    suite: Suite,
    context: RoomContext,
    roster: Vec<RosterMember>,
}

/// A commit that has been judged and may be applied.
pub struct Judged {
    /// What it does.
    pub change: Change,
    /// Its name.
    pub commit: CommitHash,
    /// The epoch that it ends.
    pub epoch: Epoch,
    /// The key packages of the new leaves, in the order of [`Change::adds`].
    pub key_packages: Vec<KeyPackageHash>,
    room: RoomId,
    staged: StagedCommit,
}

impl Observer {
    /// Starts to observe from a GroupInfo with its ratchet tree, and checks every leaf's claim.
    ///
    /// # Errors
    /// What does not hold: the tree and its signatures, a leaf's claim, the room context, or the rule of
    /// [`evaluate_founding`] that the state breaks.
    pub fn from_group_info(group_info: &[u8]) -> Result<Self, RoomError> {
        let group_info = message::read_group_info(group_info)?;
        let tree = group_info
            .extensions()
            .ratchet_tree()
            .ok_or(RoomError::Malformed { expected: "a group info with its ratchet tree" })?;
        let tree = tree.ratchet_tree().clone();
        let store = PublicStore::default();
        let (group, _) =
            PublicGroup::from_external(&suite::crypto()?, &store, tree, group_info, ProposalStore::new())
                .map_err(RoomError::mls)?;
        Self::of(group, store.into_interim())
    }

    fn of(group: PublicGroup, interim: Vec<u8>) -> Result<Self, RoomError> {
        let room = suite::room_id(group.group_id())?;
        let suite = suite::suite(group.ciphersuite())?;
        let context = suite::room_context(group.group_context().extensions())?;
        let roster = roster(&group, &[])?;
        evaluate_founding(suite, &context, &members(&roster)).map_err(RoomError::Policy)?;
        Ok(Self { group, interim, room, suite, context, roster })
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// Its ciphersuite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.group.group_context().epoch().as_u64())
    }

    /// What the room agreed on.
    #[must_use]
    pub fn context(&self) -> &RoomContext {
        &self.context
    }

    /// Every leaf, in the order of the tree.
    #[must_use]
    pub fn members(&self) -> Vec<RosterMember> {
        self.roster.clone()
    }

    /// The relays that take part, sorted.
    #[must_use]
    pub fn relays(&self) -> Vec<Domain> {
        relays(&self.roster)
    }

    /// Judges a commit; nothing changes here until [`Observer::apply`].
    ///
    /// # Errors
    /// What does not hold; [`RoomError::Policy`] names the rule of the room.
    pub fn judge(&self, commit: &[u8]) -> Result<Judged, RoomError> {
        let message = message::read_commit(commit)?;
        check_place(
            self.room,
            self.epoch(),
            suite::room_id(message.group_id())?,
            Epoch(message.epoch().as_u64()),
        )?;
        let processed = self.group.process_message(&suite::crypto()?, message).map_err(RoomError::mls)?;
        let (sender, aad) = (processed.sender().clone(), processed.aad().to_vec());
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(RoomError::Malformed { expected: "a commit" });
        };
        let before = Before { group: &self.group, context: &self.context, roster: &self.roster };
        let change = before.admit(&sender, &aad, &staged)?;
        Ok(Judged {
            change,
            commit: commit_hash(commit),
            epoch: self.epoch(),
            key_packages: added_key_packages(&staged)?,
            room: self.room,
            staged: *staged,
        })
    }

    /// Moves to the next epoch.
    ///
    /// # Errors
    /// The commit was judged in another room or epoch. Nothing has changed then.
    pub fn apply(&mut self, judged: Judged) -> Result<(), RoomError> {
        check_place(self.room, self.epoch(), judged.room, judged.epoch)?;
        let store = PublicStore::default();
        self.group.merge_commit(&store, judged.staged).map_err(RoomError::mls)?;
        self.interim = store.into_interim();
        self.context = judged.change.context.unwrap_or_else(|| self.context.clone());
        self.roster = roster(&self.group, &self.roster)?;
        Ok(())
    }

    /// Checks that a GroupInfo describes the state that stands here: same room, epoch, tree and context, and signed
    /// by one of its leaves.
    ///
    /// # Errors
    /// What differs, or what does not hold.
    pub fn agrees_with(&self, group_info: &[u8]) -> Result<(), RoomError> {
        let other = Self::from_group_info(group_info)?;
        check_place(self.room, self.epoch(), other.room, other.epoch())?;
        let (ours, theirs) = (self.group.group_context(), other.group.group_context());
        if ours.tree_hash() != theirs.tree_hash() {
            return Err(RoomError::Disagreement("tree"));
        }
        if ours.confirmed_transcript_hash() != theirs.confirmed_transcript_hash() {
            return Err(RoomError::Disagreement("history"));
        }
        if ours != theirs {
            return Err(RoomError::Disagreement("room context"));
        }
        if self.group.confirmation_tag() != other.group.confirmation_tag() {
            return Err(RoomError::Disagreement("confirmation tag"));
        }
        Ok(())
    }

    /// The state as bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.array(SNAPSHOT_PARTS);
        SNAPSHOT_VERSION.write(&mut w);
        w.bytes(self.room.as_bytes());
        w.bytes(&part(self.group.treesync()));
        w.bytes(&part(self.group.group_context()));
        w.bytes(&self.interim);
        w.bytes(&part(self.group.confirmation_tag()));
        w.into_bytes()
    }

    /// The state from [`Observer::snapshot`]. Every leaf's claim is checked again.
    ///
    /// # Errors
    /// The bytes are damaged, or of another version.
    pub fn restore(snapshot: &[u8]) -> Result<Self, RoomError> {
        let (room, parts) =
            read_snapshot(snapshot).map_err(|fault| RoomError::BadState(fault.to_string()))?;
        let interim = parts.interim.clone();
        let group = PublicGroup::load(&PublicStore::of(parts), &suite::group_id(&room))
            .map_err(|error| RoomError::BadState(error.to_string()))?
            .ok_or_else(|| RoomError::BadState("the snapshot lacks a part".to_owned()))?;
        Self::of(group, interim)
    }
}

/// Refuses what belongs to another room, or to another epoch of this one.
pub(super) fn check_place(
    our_room: RoomId,
    our_epoch: Epoch,
    their_room: RoomId,
    their_epoch: Epoch,
) -> Result<(), RoomError> {
    if our_room != their_room {
        Err(RoomError::WrongRoom { ours: our_room, theirs: their_room })
    } else if our_epoch != their_epoch {
        Err(RoomError::WrongEpoch { ours: our_epoch, theirs: their_epoch })
    } else {
        Ok(())
    }
}

fn added_key_packages(staged: &StagedCommit) -> Result<Vec<KeyPackageHash>, RoomError> {
    let mut hashes = Vec::new();
    for queued in staged.queued_proposals() {
        if let Proposal::Add(add) = queued.proposal() {
            let message = MlsMessageOut::from(add.key_package().clone());
            let bytes = message.to_bytes().map_err(RoomError::mls)?;
            hashes.push(key_package_hash(&bytes));
        }
    }
    Ok(hashes)
}

fn part(value: &impl serde::Serialize) -> Vec<u8> {
    encode(value).expect("the library's values have an encoding in CBOR").to_vec()
}

fn read_snapshot(snapshot: &[u8]) -> Result<(RoomId, Parts), Malformed> {
    let mut r = Reader::new(snapshot);
    if r.array("snapshot", SNAPSHOT_PARTS)? != SNAPSHOT_PARTS || u16::read(&mut r)? != SNAPSHOT_VERSION {
        return Err(Malformed::BadValue("a snapshot of this version"));
    }
    let room = RoomId::read(&mut r)?;
    let mut part = || r.bytes("snapshot part", MAX_SNAPSHOT_PART).map(<[u8]>::to_vec);
    let parts = Parts { tree: part()?, context: part()?, interim: part()?, tag: part()? };
    r.finish()?;
    Ok((room, parts))
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({:?}, epoch {}, {} leaves)", self.room, self.epoch(), self.roster.len())
    }
}

impl fmt::Debug for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged")
            .field("commit", &self.commit)
            .field("epoch", &self.epoch)
            .field("change", &self.change)
            .finish_non_exhaustive()
    }
}
