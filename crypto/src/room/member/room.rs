//! A room that this device is in.

use std::fmt;
use std::time::SystemTime;

use openmls::prelude::{MlsGroup, PastEpochDeletion, StagedWelcome, WelcomeError};
use openmls_traits::OpenMlsProvider as _;
use posthouse_spec::policy::{Member, evaluate_founding};
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{CommitHash, Domain, Epoch, Millis, RoomId};
use rand_core::CryptoRng;

use super::leaf::{LeafIdentity, LeafSigner, new_leaf, to_bytes};
use super::notes::Notes;
use super::{Keys, config};
use crate::room::credential::{members, relays, roster};
use crate::room::{RoomError, RosterMember, message, suite};

/// A room that this device is in, opened from its [`Keys`].
pub struct Room {
    pub(super) group: MlsGroup,
    pub(super) notes: Notes,
    /// The own leaf's key; none once this device was removed.
    pub(super) signer: Option<LeafSigner>,
    pub(super) id: RoomId,
    suite: Suite,
    pub(super) context: RoomContext,
    pub(super) roster: Vec<RosterMember>,
}

impl Room {
    /// Founds a room with this device as its only member; returns the GroupInfo with the tree for the hub.
    ///
    /// # Errors
    /// The context breaks a rule, the keys hold a room of this id already, or MLS refuses.
    pub fn found(
        keys: &mut Keys,
        id: &LeafIdentity<'_>,
        room: RoomId,
        suite: Suite,
        context: &RoomContext,
        rng: &mut impl CryptoRng,
        now: Millis,
    ) -> Result<(Self, Vec<u8>), RoomError> {
        keys.attempt(|keys| {
            let leaf = new_leaf(keys, id, rng, now);
            let config = config::founding(suite, context)?;
            let (provider, group_id) = (keys.provider()?, suite::group_id(&room));
            let group =
                MlsGroup::new_with_group_id(&provider, &leaf.signer, &config, group_id, leaf.credential)
                    .map_err(RoomError::mls)?;
            let group_info =
                group.export_group_info(provider.crypto(), &leaf.signer, true).map_err(RoomError::mls)?;
            let group_info = to_bytes(&group_info)?;
            let room = Self::of(group, Notes::new(Epoch(0)), Some(leaf.signer))?;
            evaluate_founding(suite, context, &members(&room.roster)).map_err(RoomError::Policy)?;
            room.notes.save(keys, &room.id);
            Ok((room, group_info))
        })
    }

    /// Opens a room from its keys.
    ///
    /// # Errors
    /// There are none, or they are damaged.
    pub fn load(keys: &Keys, room: &RoomId) -> Result<Self, RoomError> {
        let notes = Notes::load(keys, room)?;
        let group = MlsGroup::load(keys.store(), &suite::group_id(room))
            .map_err(|error| RoomError::BadState(error.to_string()))?
            .ok_or(RoomError::UnknownRoom(*room))?;
        let signer = own_signer(keys, &group)?;
        Self::of(group, notes, signer)
    }

    /// Joins by a Welcome; the tree comes from the GroupInfo. MLS lifetimes are not looked at, because a decided
    /// commit must never be refused by a clock.
    ///
    /// # Errors
    /// What does not hold: the Welcome is for no key package that is kept here, it belongs to another group info, a
    /// leaf's claim does not hold, or the room breaks a rule. The key package is still there then.
    pub fn join(keys: &mut Keys, welcome: &[u8], group_info: &[u8]) -> Result<Self, RoomError> {
        let welcome = message::read_welcome(welcome)?;
        let group_info = message::read_group_info(group_info)?;
        let tree = group_info
            .extensions()
            .ratchet_tree()
            .ok_or(RoomError::Malformed { expected: "a group info with its ratchet tree" })?
            .ratchet_tree()
            .clone();
        keys.attempt(|keys| {
            let provider = keys.provider()?;
            let mut joining = StagedWelcome::build_from_welcome(&provider, &config::joining(), welcome)
                .map_err(welcome_error)?
                .with_ratchet_tree(tree)
                .skip_lifetime_validation();
            let old = MlsGroup::load(provider.storage(), group_info.group_id())
                .map_err(|error| RoomError::BadState(error.to_string()))?;
            if old.is_some_and(|old| !old.is_active()) {
                // Removed once and invited again: the old state is worth nothing any more.
                joining = joining.replace_old_group();
            }
            let group =
                joining.build().map_err(welcome_error)?.into_group(&provider).map_err(welcome_error)?;
            if group.public_group().group_context() != group_info.group_context() {
                return Err(RoomError::Disagreement("group context"));
            }
            let signer = own_signer(keys, &group)?;
            let first = Epoch(group.epoch().as_u64());
            let room = Self::of(group, Notes::new(first), signer)?;
            evaluate_founding(room.suite, &room.context, &members(&room.roster))
                .map_err(RoomError::Policy)?;
            room.notes.save(keys, &room.id);
            Ok(room)
        })
    }

    pub(super) fn of(group: MlsGroup, notes: Notes, signer: Option<LeafSigner>) -> Result<Self, RoomError> {
        let public = group.public_group();
        Ok(Self {
            id: suite::room_id(group.group_id())?,
            suite: suite::suite(group.ciphersuite())?,
            context: suite::room_context(group.extensions())?,
            roster: roster(public, &[])?,
            group,
            notes,
            signer,
        })
    }

    /// The room.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.group.epoch().as_u64())
    }

    /// Its ciphersuite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
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

    /// This device's own leaf; `None` once it was removed.
    #[must_use]
    pub fn own_leaf(&self) -> Option<Member> {
        let own = self.group.own_leaf_index().u32();
        let in_room = self.group.is_active();
        self.roster.iter().map(|entry| &entry.member).find(|member| in_room && member.leaf == own).cloned()
    }

    pub(super) fn signer(&self) -> Result<&LeafSigner, RoomError> {
        self.signer.as_ref().ok_or(RoomError::NotMember)
    }

    /// The relays that take part, sorted.
    #[must_use]
    pub fn relays(&self) -> Vec<Domain> {
        relays(&self.roster)
    }

    /// The commit of one's own that waits for its decision.
    #[must_use]
    pub fn has_pending(&self) -> Option<CommitHash> {
        self.notes.pending
    }

    /// The oldest epoch whose messages can be opened.
    #[must_use]
    pub fn oldest_epoch(&self) -> Epoch {
        self.notes.oldest
    }

    /// A past epoch is over: deletes its message secrets. Where an older epoch is not over yet, they are not used any
    /// more from now on, and deleted together with the older ones, because MLS forgets in order.
    ///
    /// # Errors
    /// The epoch is not past, or the keys cannot be written.
    pub fn forget_epoch(&mut self, keys: &mut Keys, epoch: Epoch) -> Result<(), RoomError> {
        if epoch >= self.epoch() {
            return Err(RoomError::WrongEpoch { ours: self.epoch(), theirs: epoch });
        }
        self.end_epoch(keys, epoch)?;
        self.notes.save(keys, &self.id);
        Ok(())
    }

    pub(super) fn end_epoch(&mut self, keys: &Keys, epoch: Epoch) -> Result<(), RoomError> {
        let oldest = self.notes.oldest;
        self.notes.end(epoch);
        if self.notes.oldest == oldest {
            return Ok(());
        }
        // The library has no deletion by epoch. A limit in number deletes from the oldest on; the time is one at
        // which nothing was stored, so it deletes nothing by itself.
        let kept = usize::try_from(self.epoch().0.saturating_sub(self.notes.oldest.0)).unwrap_or(usize::MAX);
        let deletion = PastEpochDeletion::before_timestamp(SystemTime::UNIX_EPOCH).max_past_epochs(kept);
        self.group.delete_past_epoch_secrets(&keys.provider()?, deletion).map_err(RoomError::mls)
    }

    /// Deletes every secret of the room but the leaf's signature key, with which this device can replace its own
    /// leaf if it ever comes back.
    ///
    /// # Errors
    /// The keys cannot be written.
    pub fn delete(mut self, keys: &mut Keys) -> Result<(), RoomError> {
        self.group.delete(keys.store()).map_err(RoomError::mls)?;
        Notes::delete(keys, &self.id);
        Ok(())
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({:?}, epoch {}, {} leaves, secret)", self.id, self.epoch(), self.roster.len())
    }
}

fn own_signer(keys: &Keys, group: &MlsGroup) -> Result<Option<LeafSigner>, RoomError> {
    match group.own_leaf_node() {
        Some(leaf) if group.is_active() => LeafSigner::find(keys, leaf.signature_key().as_slice()).map(Some),
        _ => Ok(None),
    }
}

fn welcome_error<E: fmt::Display + fmt::Debug>(error: WelcomeError<E>) -> RoomError {
    match error {
        WelcomeError::NoMatchingKeyPackage | WelcomeError::JoinerSecretNotFound => RoomError::NoKeyPackage,
        WelcomeError::GroupAlreadyExists => RoomError::AlreadyMember,
        other => RoomError::mls(other),
    }
}
