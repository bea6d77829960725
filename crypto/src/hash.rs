//! Names made by hashing: SHA-256 over the bytes as they were received, never over a re-encoding.

use posthouse_spec::account::Event;
use posthouse_spec::content::{MESSAGE_ID_SHA256, message_id_input};
use posthouse_spec::envelope::Envelope;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{
    AccountId, CommitHash, EnvelopeId, EventHash, KeyHash, KeyPackageHash, ManifestHash, MessageId,
    PublicKey, RoomId, Signed,
};
use sha2::{Digest, Sha256};

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What the next event of a chain names this one by: the hash of its payload.
#[must_use]
pub fn event_hash(event: &Signed<Event>) -> EventHash {
    EventHash::new(sha256(event.payload_bytes()))
}

/// The account that this Genesis event makes. Of any other event the result means nothing.
#[must_use]
pub fn account_id(genesis: &Signed<Event>) -> AccountId {
    AccountId::new(sha256(genesis.payload_bytes()))
}

/// An envelope's id: the hash of its payload.
#[must_use]
pub fn envelope_id(envelope: &Signed<Envelope>) -> EnvelopeId {
    EnvelopeId::new(sha256(envelope.payload_bytes()))
}

/// What the next manifest names this one by: the hash of its payload.
#[must_use]
pub fn manifest_hash(manifest: &Signed<Manifest>) -> ManifestHash {
    ManifestHash::new(sha256(manifest.payload_bytes()))
}

/// A commit's name: the hash of the whole MLSMessage.
#[must_use]
pub fn commit_hash(commit: &[u8]) -> CommitHash {
    CommitHash::new(sha256(commit))
}

/// A key package's name: the hash of the whole MLSMessage.
#[must_use]
pub fn key_package_hash(key_package: &[u8]) -> KeyPackageHash {
    KeyPackageHash::new(sha256(key_package))
}

/// How a manifest announces the root key that comes next without showing it.
#[must_use]
pub fn key_hash(key: &PublicKey) -> KeyHash {
    KeyHash::new(sha256(key.as_bytes()))
}

/// A message's id (draft-ietf-mimi-content, section 3.3): the number of SHA-256 in the named-information registry,
/// then the first 31 bytes of the hash of [`message_id_input`].
#[must_use]
pub fn message_id(sender: &AccountId, room: &RoomId, content: &[u8]) -> MessageId {
    let hash = sha256(&message_id_input(sender, room, content));
    let mut id = [MESSAGE_ID_SHA256; 32];
    id[1..].copy_from_slice(&hash[..31]);
    MessageId::new(id)
}
