//! What a room's MLS group must be made of: its ciphersuite, what it asks of every leaf, and the one extension that
//! all agree on.

use openmls::prelude::{
    Ciphersuite, CredentialType, ExtensionType, Extensions, GroupContext, GroupId, Lifetime, ProposalType,
    RequiredCapabilitiesExtension,
};
use openmls_libcrux_crypto::CryptoProvider;
use posthouse_spec::room::{LEAF_CREDENTIAL, ROOM_CONTEXT_EXTENSION, RoomContext, Suite};
use posthouse_spec::{Cbor, Malformed, RoomId};

use super::RoomError;

/// The credential type of every leaf.
pub(super) const CREDENTIAL: CredentialType = CredentialType::Other(LEAF_CREDENTIAL);
/// The type of the extension that holds the [`RoomContext`].
pub(super) const CONTEXT: ExtensionType = ExtensionType::Unknown(ROOM_CONTEXT_EXTENSION);
/// The group context extensions of a room: the requirements and the room context.
const EXTENSIONS: usize = 2;

/// The cryptography behind MLS. It is made for each operation: its random generator is seeded by the operating system
/// then, and no state is shared between rooms.
pub(super) fn crypto() -> Result<CryptoProvider, RoomError> {
    CryptoProvider::new().map_err(|_| RoomError::NoRandomness)
}

/// The suite behind the library's name.
pub(super) fn suite(ciphersuite: Ciphersuite) -> Result<Suite, RoomError> {
    let code = u16::from(ciphersuite);
    Suite::from_code(u64::from(code)).ok_or(RoomError::UnknownSuite(code))
}

/// What a room asks of every leaf. SelfRemove is among it, so that whoever leaves never needs somebody else's
/// consent.
pub(super) fn required() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(&[CONTEXT], &[ProposalType::SelfRemove], &[CREDENTIAL])
}

/// MLS lifetimes are without end: whether a decided commit holds must never depend on a clock. How long a key
/// package may be claimed stands in the leaf claim.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// Reads the room context, and refuses a group that asks other things of its leaves or carries other extensions:
/// external senders above all, who could change a room from outside.
pub(super) fn room_context(extensions: &Extensions<GroupContext>) -> Result<RoomContext, RoomError> {
    if extensions.required_capabilities() != Some(&required()) {
        return Err(RoomError::BadRequirements);
    }
    if extensions.iter().count() != EXTENSIONS {
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
pub(super) fn group_id(room: &RoomId) -> GroupId {
    GroupId::from_slice(room.as_bytes())
}
