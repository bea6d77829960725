//! The library's storage over [`Store`]: which value stands under which key.
//!
//! A key is one byte for the kind of value, then the encoding of what the library names the value by.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::keys::Store;
use crate::room::codec::{StorageError, decode, encode};

/// Kinds of values. A number that was used once is never given another meaning.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Tree = 1,
    Context = 2,
    InterimTranscriptHash = 3,
    ConfirmationTag = 4,
    JoinConfig = 5,
    OwnLeafNodes = 6,
    GroupState = 7,
    Proposals = 8,
    OwnLeafIndex = 9,
    EpochSecrets = 10,
    ResumptionPsks = 11,
    MessageSecrets = 12,
    EpochKeyPairs = 13,
    KeyPackage = 14,
    EncryptionKeyPair = 15,
    SignatureKeyPair = 16,
    Psk = 17,
    /// This protocol's own: the private half of a leaf's signature key. It stands apart from the group's state, so
    /// that a device that lost the state can still replace its own leaf.
    LeafKey = 32,
    /// This protocol's own: what is known of a room beside MLS.
    Notes = 33,
}

/// A list of named values, each in its encoding.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Store {
    fn key(kind: Kind, name: &impl Serialize) -> Result<Vec<u8>, StorageError> {
        let mut key = vec![kind as u8];
        key.extend_from_slice(&encode(name)?);
        Ok(key)
    }

    fn put(
        &self,
        kind: Kind,
        name: &impl Serialize,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), StorageError> {
        self.set(Self::key(kind, name)?, Some(encode(&value)?));
        Ok(())
    }

    fn fetch<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &impl Serialize,
    ) -> Result<Option<T>, StorageError> {
        self.get(&Self::key(kind, name)?)?.map(|bytes| decode(&bytes)).transpose()
    }

    fn forget(&self, kind: Kind, name: &impl Serialize) -> Result<(), StorageError> {
        self.set(Self::key(kind, name)?, None);
        Ok(())
    }

    fn entries(&self, kind: Kind, name: &impl Serialize) -> Result<Entries, StorageError> {
        Ok(self.fetch(kind, name)?.unwrap_or_default())
    }

    fn append(
        &self,
        kind: Kind,
        name: &impl Serialize,
        entry: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<(), StorageError> {
        let mut entries = self.entries(kind, name)?;
        entries.push((encode(entry)?.to_vec(), encode(value)?.to_vec()));
        self.put(kind, name, &entries)
    }

    /// Writes one of this protocol's own values.
    pub(super) fn put_own(&self, kind: Kind, name: &[u8], value: &[u8]) {
        self.set([&[kind as u8], name].concat(), Some(Zeroizing::new(value.to_vec())));
    }

    /// Reads one of this protocol's own values.
    pub(super) fn fetch_own(
        &self,
        kind: Kind,
        name: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        self.get(&[&[kind as u8], name].concat())
    }

    /// Deletes one of this protocol's own values.
    pub(super) fn forget_own(&self, kind: Kind, name: &[u8]) {
        self.set([&[kind as u8], name].concat(), None);
    }
}

macro_rules! written {
    ($($method:ident<$first:ident, $second:ident>($name:ident, $value:ident) = $kind:ident;)+) => {$(
        fn $method<$first: traits::$first<CURRENT_VERSION>, $second: traits::$second<CURRENT_VERSION>>(
            &self,
            name: &$name,
            value: &$value,
        ) -> Result<(), StorageError> {
            self.put(Kind::$kind, name, value)
        }
    )+};
}

macro_rules! read {
    ($($method:ident<$first:ident, $second:ident>($name:ident) -> $value:ident = $kind:ident;)+) => {$(
        fn $method<$first: traits::$first<CURRENT_VERSION>, $second: traits::$second<CURRENT_VERSION>>(
            &self,
            name: &$name,
        ) -> Result<Option<$value>, StorageError> {
            self.fetch(Kind::$kind, name)
        }
    )+};
}

macro_rules! deleted {
    ($($method:ident($name:ident) = $kind:ident;)+) => {$(
        fn $method<$name: traits::$name<CURRENT_VERSION>>(&self, name: &$name) -> Result<(), StorageError> {
            self.forget(Kind::$kind, name)
        }
    )+};
}

impl StorageProvider<CURRENT_VERSION> for Store {
    type Error = StorageError;

    written! {
        write_mls_join_config<GroupId, MlsGroupJoinConfig>(GroupId, MlsGroupJoinConfig) = JoinConfig;
        write_tree<GroupId, TreeSync>(GroupId, TreeSync) = Tree;
        write_interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId, InterimTranscriptHash)
            = InterimTranscriptHash;
        write_context<GroupId, GroupContext>(GroupId, GroupContext) = Context;
        write_confirmation_tag<GroupId, ConfirmationTag>(GroupId, ConfirmationTag) = ConfirmationTag;
        write_group_state<GroupState, GroupId>(GroupId, GroupState) = GroupState;
        write_message_secrets<GroupId, MessageSecrets>(GroupId, MessageSecrets) = MessageSecrets;
        write_resumption_psk_store<GroupId, ResumptionPskStore>(GroupId, ResumptionPskStore) = ResumptionPsks;
        write_own_leaf_index<GroupId, LeafNodeIndex>(GroupId, LeafNodeIndex) = OwnLeafIndex;
        write_group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId, GroupEpochSecrets) = EpochSecrets;
        write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey, SignatureKeyPair)
            = SignatureKeyPair;
        write_encryption_key_pair<EncryptionKey, HpkeKeyPair>(EncryptionKey, HpkeKeyPair) = EncryptionKeyPair;
        write_key_package<HashReference, KeyPackage>(HashReference, KeyPackage) = KeyPackage;
        write_psk<PskId, PskBundle>(PskId, PskBundle) = Psk;
    }

    read! {
        mls_group_join_config<GroupId, MlsGroupJoinConfig>(GroupId) -> MlsGroupJoinConfig = JoinConfig;
        tree<GroupId, TreeSync>(GroupId) -> TreeSync = Tree;
        group_context<GroupId, GroupContext>(GroupId) -> GroupContext = Context;
        interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId) -> InterimTranscriptHash
            = InterimTranscriptHash;
        confirmation_tag<GroupId, ConfirmationTag>(GroupId) -> ConfirmationTag = ConfirmationTag;
        group_state<GroupState, GroupId>(GroupId) -> GroupState = GroupState;
        message_secrets<GroupId, MessageSecrets>(GroupId) -> MessageSecrets = MessageSecrets;
        resumption_psk_store<GroupId, ResumptionPskStore>(GroupId) -> ResumptionPskStore = ResumptionPsks;
        own_leaf_index<GroupId, LeafNodeIndex>(GroupId) -> LeafNodeIndex = OwnLeafIndex;
        group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId) -> GroupEpochSecrets = EpochSecrets;
        signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey) -> SignatureKeyPair
            = SignatureKeyPair;
        encryption_key_pair<HpkeKeyPair, EncryptionKey>(EncryptionKey) -> HpkeKeyPair = EncryptionKeyPair;
        key_package<HashReference, KeyPackage>(HashReference) -> KeyPackage = KeyPackage;
        psk<PskBundle, PskId>(PskId) -> PskBundle = Psk;
    }

    deleted! {
        delete_own_leaf_nodes(GroupId) = OwnLeafNodes;
        delete_group_config(GroupId) = JoinConfig;
        delete_tree(GroupId) = Tree;
        delete_confirmation_tag(GroupId) = ConfirmationTag;
        delete_group_state(GroupId) = GroupState;
        delete_context(GroupId) = Context;
        delete_interim_transcript_hash(GroupId) = InterimTranscriptHash;
        delete_message_secrets(GroupId) = MessageSecrets;
        delete_all_resumption_psk_secrets(GroupId) = ResumptionPsks;
        delete_own_leaf_index(GroupId) = OwnLeafIndex;
        delete_group_epoch_secrets(GroupId) = EpochSecrets;
        delete_signature_key_pair(SignaturePublicKey) = SignatureKeyPair;
        delete_encryption_key_pair(EncryptionKey) = EncryptionKeyPair;
        delete_key_package(HashReference) = KeyPackage;
        delete_psk(PskId) = Psk;
    }

    fn append_own_leaf_node<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
        leaf: &LeafNode,
    ) -> Result<(), StorageError> {
        self.append(Kind::OwnLeafNodes, group, &(), leaf)
    }

    fn own_leaf_nodes<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
    ) -> Result<Vec<LeafNode>, StorageError> {
        self.entries(Kind::OwnLeafNodes, group)?.iter().map(|(_, leaf)| decode(leaf)).collect()
    }

    fn queue_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
        name: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), StorageError> {
        self.append(Kind::Proposals, group, name, proposal)
    }

    fn queued_proposal_refs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
    ) -> Result<Vec<ProposalRef>, StorageError> {
        self.entries(Kind::Proposals, group)?.iter().map(|(name, _)| decode(name)).collect()
    }

    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, StorageError> {
        let entries = self.entries(Kind::Proposals, group)?;
        entries.iter().map(|(name, proposal)| Ok((decode(name)?, decode(proposal)?))).collect()
    }

    fn remove_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
        name: &ProposalRef,
    ) -> Result<(), StorageError> {
        let gone = encode(name)?;
        let mut entries = self.entries(Kind::Proposals, group)?;
        entries.retain(|(name, _)| *name != *gone);
        self.put(Kind::Proposals, group, &entries)
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
    ) -> Result<(), StorageError> {
        self.forget(Kind::Proposals, group)
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
        pairs: &[HpkeKeyPair],
    ) -> Result<(), StorageError> {
        self.put(Kind::EpochKeyPairs, &(group, epoch, leaf), pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
    ) -> Result<Vec<HpkeKeyPair>, StorageError> {
        Ok(self.fetch(Kind::EpochKeyPairs, &(group, epoch, leaf))?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
    ) -> Result<(), StorageError> {
        self.forget(Kind::EpochKeyPairs, &(group, epoch, leaf))
    }
}
