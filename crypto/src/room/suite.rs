//! What a room's MLS group is made of: its ciphersuite, what it asks of every leaf, and the one extension that all agree
//! on.
//!
//! All of it is stated explicitly, never left to the library's defaults: two versions of a default would be two
//! protocols.

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, Extension, ExtensionType, Extensions, GroupContext, GroupId,
    Lifetime, ProposalType, ProtocolVersion, RequiredCapabilitiesExtension, UnknownExtension,
};
use openmls_libcrux_crypto::CryptoProvider;
use posthouse_spec::room::{LEAF_CREDENTIAL, ROOM_CONTEXT_EXTENSION, RoomContext, Suite};
use posthouse_spec::{Cbor, Malformed, RoomId};

use super::RoomError;

/// The credential type of every leaf.
pub(super) const CREDENTIAL: CredentialType = CredentialType::Other(LEAF_CREDENTIAL);
/// The type of the extension that holds the [`RoomContext`].
const CONTEXT: ExtensionType = ExtensionType::Unknown(ROOM_CONTEXT_EXTENSION);

/// The cryptography behind MLS. It is made for each operation: its random generator is seeded by the operating system
/// then, and no state is shared between rooms.
pub(super) fn crypto() -> Result<CryptoProvider, RoomError> {
    CryptoProvider::new().map_err(|_| RoomError::NoRandomness)
}

/// The library's name of a suite.
#[cfg(feature = "member")]
pub(super) fn ciphersuite(suite: Suite) -> Ciphersuite {
    match suite {
        Suite::Classic => Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        Suite::PostQuantum => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
    }
}

/// The suite behind the library's name.
pub(super) fn suite(ciphersuite: Ciphersuite) -> Result<Suite, RoomError> {
    let code = u16::from(ciphersuite);
    Suite::from_code(u64::from(code)).ok_or(RoomError::UnknownSuite(code))
}

/// What a leaf says that it understands: both suites, so that a device can be in rooms of either.
#[cfg(feature = "member")]
pub(super) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![ciphersuite(Suite::Classic), ciphersuite(Suite::PostQuantum)])
        .extensions(vec![CONTEXT, ExtensionType::LastResort])
        .proposals(vec![ProposalType::SelfRemove])
        .credentials(vec![CREDENTIAL])
        .build()
}

/// What a room asks of every leaf.
fn required() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(&[CONTEXT], &[ProposalType::SelfRemove], &[CREDENTIAL])
}

/// MLS lifetimes are without end: whether a decided commit holds must never depend on a clock. How long a key package may
/// be claimed stands in the leaf claim.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// The group context extensions of a room. A proposal that changes one repeats the other.
#[cfg(feature = "member")]
pub(super) fn extensions(context: &RoomContext) -> Result<Extensions<GroupContext>, RoomError> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required()),
        Extension::Unknown(ROOM_CONTEXT_EXTENSION, UnknownExtension(context.to_cbor())),
    ])
    .map_err(|error| RoomError::Mls(error.to_string()))
}

/// Reads the room context, and refuses a group that asks other things of its leaves or carries other extensions:
/// external senders above all, who could change a room from outside.
pub(super) fn room_context(extensions: &Extensions<GroupContext>) -> Result<RoomContext, RoomError> {
    if extensions.required_capabilities() != Some(&required()) {
        return Err(RoomError::BadRequirements);
    }
    if extensions.iter().count() != 2 {
        return Err(RoomError::BadContext(Malformed::BadValue("a room has two group context extensions")));
    }
    let missing = Malformed::MissingField { record: "GroupContext", field: "room context extension" };
    let context = extensions.unknown(ROOM_CONTEXT_EXTENSION).ok_or(RoomError::BadContext(missing))?;
    RoomContext::from_cbor(&context.0).map_err(RoomError::BadContext)
}

/// The room behind an MLS group id.
pub(super) fn room_id(group: &GroupId) -> Result<RoomId, RoomError> {
    RoomId::from_slice(group.as_slice()).ok_or(RoomError::BadRoomId)
}

/// The MLS group id of a room.
#[cfg(feature = "member")]
pub(super) fn group_id(room: &RoomId) -> GroupId {
    GroupId::from_slice(room.as_bytes())
}
