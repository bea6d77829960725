//! Commits: making one, and merging one that was decided.
//!
//! A commit of one's own waits in the keys until its decision comes: then it is merged, or dropped where another
//! one was decided for the epoch.

use std::collections::BTreeSet;
use std::fmt;

use openmls::prelude::{
    CommitMessageBundle, Extensions, GroupContext, KeyPackage, LeafNodeIndex, MlsGroup, MlsMessageOut,
    ProcessedMessageContent, Sender,
};
use openmls_traits::OpenMlsProvider as _;
use posthouse_spec::cbor::Octets;
use posthouse_spec::policy::Change;
use posthouse_spec::room::{LeaveClaim, RoomContext};
use posthouse_spec::{CommitHash, Epoch, Signed};

use super::leaf::to_bytes;
use super::leaving::departures;
use super::room::Room;
use super::{Keys, config};
use crate::hash::commit_hash;
use crate::room::change::Before;
use crate::room::credential::{check_key_package, roster};
use crate::room::observer::check_place;
use crate::room::{RoomError, message, suite};

/// A commit that waits for its decision.
#[derive(Clone)]
pub struct Proposed {
    /// The commit as an MLSMessage.
    pub commit: Vec<u8>,
    /// The Welcome as an MLSMessage, where it adds anybody. The tree is not in it.
    pub welcome: Option<Vec<u8>>,
    /// The GroupInfo of the new epoch with the ratchet tree, as an MLSMessage.
    pub group_info: Vec<u8>,
    /// The commit's name.
    pub hash: CommitHash,
    /// The epoch that it would end.
    pub epoch: Epoch,
}

impl fmt::Debug for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposed({:?}, epoch {}, {} bytes)", self.hash, self.epoch, self.commit.len())
    }
}

/// What a commit of one's own is to do.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Key packages, as MLSMessages, whose owners are added.
    pub adds: Vec<Vec<u8>>,
    /// Leaves that are removed.
    pub removes: Vec<u32>,
    /// What the room agrees on from now on.
    pub context: Option<RoomContext>,
    /// Words of those who leave: their leaves are removed, too.
    pub leaves: Vec<Signed<LeaveClaim>>,
    /// Whether the own leaf's encryption key is renewed: what was stolen from this device before is of no use in the epochs
    /// behind it. Without need it is not, which keeps the commit small (RFC 9420, section 12.4).
    pub renew: bool,
}

/// A wish in the library's terms.
struct Intent {
    adds: Vec<KeyPackage>,
    removes: Vec<LeafNodeIndex>,
    context: Option<Extensions<GroupContext>>,
    departures: Vec<u8>,
    renew: bool,
}

impl Room {
    /// Makes a commit that adds the owners of these key packages; see [`Room::propose`].
    ///
    /// # Errors
    /// Those of [`Room::propose`].
    pub fn invite(&mut self, keys: &mut Keys, key_packages: &[Vec<u8>]) -> Result<Proposed, RoomError> {
        self.propose(keys, &Wish { adds: key_packages.to_vec(), ..Wish::default() })
    }

    /// Makes a commit that removes these leaves; see [`Room::propose`].
    ///
    /// # Errors
    /// Those of [`Room::propose`].
    pub fn remove(&mut self, keys: &mut Keys, leaves: &[u32]) -> Result<Proposed, RoomError> {
        self.propose(keys, &Wish { removes: leaves.to_vec(), ..Wish::default() })
    }

    /// Makes a commit that renews the own leaf's encryption key; see [`Room::propose`].
    ///
    /// # Errors
    /// Those of [`Room::propose`].
    pub fn renew(&mut self, keys: &mut Keys) -> Result<Proposed, RoomError> {
        self.propose(keys, &Wish { renew: true, ..Wish::default() })
    }

    /// Makes a commit. It waits in the keys for its decision.
    ///
    /// # Errors
    /// A commit waits already, a key package, leaf or word does not hold, or policy forbids it. Nothing has changed then.
    pub fn propose(&mut self, keys: &mut Keys, wish: &Wish) -> Result<Proposed, RoomError> {
        self.check_active()?;
        if self.notes.pending.is_some() {
            return Err(RoomError::PendingCommit);
        }
        let intent = self.intent(wish)?;
        let proposed = keys.attempt(|keys| self.stage(keys, intent));
        if proposed.is_err() {
            // The group in memory may hold a commit that the keys do not.
            self.reload(keys)?;
        }
        proposed
    }

    fn intent(&self, wish: &Wish) -> Result<Intent, RoomError> {
        let adds = wish
            .adds
            .iter()
            .map(|bytes| Ok(check_key_package(bytes)?.0))
            .collect::<Result<_, RoomError>>()?;
        let mut removes: BTreeSet<u32> = wish.removes.iter().copied().collect();
        let mut words = Vec::new();
        for word in &wish.leaves {
            let goes = self.check_leave(word)?;
            // One whose leaves are gone already needs no commit.
            if !goes.is_empty() {
                removes.extend(goes);
                words.push(word.clone());
            }
        }
        Ok(Intent {
            adds,
            removes: removes.into_iter().map(LeafNodeIndex::new).collect(),
            context: wish.context.as_ref().map(config::extensions).transpose()?,
            departures: departures(words)?,
            renew: wish.renew,
        })
    }

    fn stage(&mut self, keys: &mut Keys, intent: Intent) -> Result<Proposed, RoomError> {
        self.notes.departures = match intent.departures.is_empty() {
            true => None,
            false => Some(Octets::new(intent.departures.clone()).map_err(RoomError::Departures)?),
        };
        let bundle = self.build(keys, intent)?;
        self.admit_pending()?;
        let (commit, welcome, _) = bundle.into_contents();
        let commit = to_bytes(&commit)?;
        let version = self.group.public_group().version();
        let welcome =
            welcome.map(|welcome| to_bytes(&MlsMessageOut::from_welcome(welcome, version))).transpose()?;
        let hash = commit_hash(&commit);
        self.notes.pending = Some(hash);
        self.notes.save(keys, &self.id);
        let group_info = self.next_group_info(keys)?;
        Ok(Proposed { commit, welcome, group_info, hash, epoch: self.epoch() })
    }

    fn build(&mut self, keys: &mut Keys, intent: Intent) -> Result<CommitMessageBundle, RoomError> {
        let provider = keys.provider()?;
        let signer = self.signer.as_ref().ok_or(RoomError::NotMember)?;
        self.group.set_aad(intent.departures);
        let mut builder =
            self.group.commit_builder().propose_adds(intent.adds).propose_removals(intent.removes);
        if let Some(context) = intent.context {
            builder = builder.propose_group_context_extensions(context).map_err(RoomError::mls)?;
        }
        builder
            .force_self_update(intent.renew)
            .load_psks(provider.storage())
            .map_err(RoomError::mls)?
            .create_group_info(false)
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .map_err(RoomError::mls)?
            .stage_commit(&provider)
            .map_err(RoomError::mls)
    }

    /// The GroupInfo of the epoch behind the pending commit. The library puts the tree into both Welcome and
    /// GroupInfo or into neither; so it is exported from a copy of the group that has merged the commit.
    fn next_group_info(&self, keys: &mut Keys) -> Result<Vec<u8>, RoomError> {
        keys.pretend(|keys| {
            let provider = keys.provider()?;
            let mut group = MlsGroup::load(provider.storage(), &suite::group_id(&self.id))
                .map_err(|error| RoomError::BadState(error.to_string()))?
                .ok_or(RoomError::UnknownRoom(self.id))?;
            group.merge_pending_commit(&provider).map_err(RoomError::mls)?;
            to_bytes(
                &group.export_group_info(provider.crypto(), self.signer()?, true).map_err(RoomError::mls)?,
            )
        })
    }

    /// Merges one's own commit after its decision. Of a rejoining the change names the own leaf alone.
    ///
    /// # Errors
    /// None waits.
    pub fn merge_own(&mut self, keys: &mut Keys) -> Result<Change, RoomError> {
        if self.notes.rejoining {
            return self.rejoined(keys);
        }
        let change = self.admit_pending()?;
        let merged = keys.attempt(|keys| {
            self.group.merge_pending_commit(&keys.provider()?).map_err(RoomError::mls)?;
            self.moved_on(keys)
        });
        self.settled(keys, merged)?;
        Ok(change)
    }

    /// Drops one's own commit after another one was decided; nothing happens where none waits.
    ///
    /// # Errors
    /// [`RoomError::Rejoining`]: a rejoining is not dropped but replaced by another one.
    pub fn drop_own(&mut self, keys: &mut Keys) -> Result<(), RoomError> {
        if self.notes.rejoining {
            return Err(RoomError::Rejoining);
        }
        self.group.clear_pending_commit(keys.store()).map_err(RoomError::mls)?;
        self.notes.settle();
        self.notes.save(keys, &self.id);
        Ok(())
    }

    /// Applies a commit after its decision; where it is one's own, that one is merged, and else a pending one is
    /// dropped.
    ///
    /// # Errors
    /// What does not hold. Nothing has changed then.
    pub fn apply(&mut self, keys: &mut Keys, commit: &[u8]) -> Result<Change, RoomError> {
        if self.notes.pending == Some(commit_hash(commit)) {
            return self.merge_own(keys);
        }
        self.check_active()?;
        let message = message::read_commit(commit)?;
        check_place(
            self.id,
            self.epoch(),
            suite::room_id(message.group_id())?,
            Epoch(message.epoch().as_u64()),
        )?;
        let processed = self.group.process_message(&keys.provider()?, message).map_err(RoomError::mls)?;
        let (sender, aad) = (processed.sender().clone(), processed.aad().to_vec());
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(RoomError::Malformed { expected: "a commit" });
        };
        let change = self.before().admit(&sender, &aad, &staged)?;
        let merged = keys.attempt(|keys| {
            self.group.merge_staged_commit(&keys.provider()?, *staged).map_err(RoomError::mls)?;
            self.moved_on(keys)
        });
        self.settled(keys, merged)?;
        Ok(change)
    }

    fn before(&self) -> Before<'_> {
        Before { group: self.group.public_group(), context: &self.context, roster: &self.roster }
    }

    /// Policy's word on the commit that waits: the same as everybody else will say.
    fn admit_pending(&self) -> Result<Change, RoomError> {
        let staged = self.group.pending_commit().ok_or(RoomError::NoPendingCommit)?;
        let aad = self.notes.departures.as_deref().unwrap_or_default();
        self.before().admit(&Sender::Member(self.group.own_leaf_index()), aad, staged)
    }

    pub(super) fn check_active(&self) -> Result<(), RoomError> {
        match self.group.is_active() {
            true if self.notes.rejoining => Err(RoomError::Rejoining),
            true => Ok(()),
            false => Err(RoomError::NotMember),
        }
    }

    fn moved_on(&mut self, keys: &mut Keys) -> Result<(), RoomError> {
        let ended = Epoch(self.epoch().0.saturating_sub(1));
        let was_alone = self.roster.len() == 1;
        self.context = suite::room_context(self.group.extensions())?;
        self.roster = roster(self.group.public_group(), &self.roster)?;
        self.notes.settle();
        self.notes.advance(self.epoch());
        if was_alone {
            // Nobody else can have sealed anything in it.
            self.end_epoch(keys, ended)?;
        }
        self.notes.save(keys, &self.id);
        Ok(())
    }

    fn settled(&mut self, keys: &mut Keys, result: Result<(), RoomError>) -> Result<(), RoomError> {
        if result.is_err() {
            self.reload(keys)?;
        }
        result
    }

    fn reload(&mut self, keys: &Keys) -> Result<(), RoomError> {
        *self = Self::load(keys, &self.id)?;
        Ok(())
    }
}
