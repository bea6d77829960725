//! The library's storage for an observer, which has no secrets: it catches what the library would write, and hands
//! out what a snapshot holds.
//!
//! An observer lives in memory and is kept as a snapshot now and then; so at each commit the tree is not serialised
//! at all. Only the interim transcript hash is caught, because the group has no other way to give it away.

use std::cell::RefCell;

use openmls_traits::public_storage::PublicStorageProvider;
use openmls_traits::storage::{CURRENT_VERSION, traits};
use serde::de::DeserializeOwned;

use super::codec::{StorageError, decode, encode};

/// What an observer consists of, each part in the library's encoding.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The tree.
    pub(super) tree: Vec<u8>,
    /// The group context.
    pub(super) context: Vec<u8>,
    /// The interim transcript hash.
    pub(super) interim: Vec<u8>,
    /// The confirmation tag.
    pub(super) tag: Vec<u8>,
}

/// Storage for the length of one call.
#[derive(Debug, Default)]
pub(super) struct PublicStore(RefCell<Parts>);

impl PublicStore {
    /// Storage that holds a snapshot's parts.
    pub(super) fn of(parts: Parts) -> Self {
        Self(RefCell::new(parts))
    }

    /// The interim transcript hash that was written.
    pub(super) fn into_interim(self) -> Vec<u8> {
        self.0.into_inner().interim
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, StorageError> {
    if bytes.is_empty() { Ok(None) } else { decode(bytes).map(Some) }
}

impl PublicStorageProvider<CURRENT_VERSION> for PublicStore {
    type PublicError = StorageError;

    fn write_interim_transcript_hash<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        hash: &InterimTranscriptHash,
    ) -> Result<(), StorageError> {
        self.0.borrow_mut().interim = encode(hash)?.to_vec();
        Ok(())
    }

    fn tree<GroupId: traits::GroupId<CURRENT_VERSION>, TreeSync: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<Option<TreeSync>, StorageError> {
        read(&self.0.borrow().tree)
    }

    fn group_context<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<GroupContext>, StorageError> {
        read(&self.0.borrow().context)
    }

    fn interim_transcript_hash<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<InterimTranscriptHash>, StorageError> {
        read(&self.0.borrow().interim)
    }

    fn confirmation_tag<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<ConfirmationTag>, StorageError> {
        read(&self.0.borrow().tag)
    }

    // An observer keeps no proposals: a commit carries its own.
    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, StorageError> {
        Ok(Vec::new())
    }

    // What follows is taken from the group itself when a snapshot is made.
    fn write_tree<GroupId: traits::GroupId<CURRENT_VERSION>, TreeSync: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
        _: &TreeSync,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn write_context<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &GroupContext,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn write_confirmation_tag<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &ConfirmationTag,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn queue_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &ProposalRef,
        _: &QueuedProposal,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn delete_tree<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn delete_confirmation_tag<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn delete_context<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn delete_interim_transcript_hash<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn remove_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &ProposalRef,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }
}
