//! What this device states when it makes a group or a leaf. Everything is explicit, never left to the library's
//! defaults: two versions of a default would be two protocols.

use openmls::prelude::{
    Capabilities, Ciphersuite, Extension, ExtensionType, Extensions, GroupContext, MlsGroupCreateConfig,
    MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, PastEpochDeletionPolicy, ProposalType,
    ProtocolVersion, SenderRatchetConfiguration, UnknownExtension,
};
use posthouse_spec::Cbor as _;
use posthouse_spec::limits::{MAX_FORWARD_DISTANCE, OUT_OF_ORDER_TOLERANCE};
use posthouse_spec::room::{ROOM_CONTEXT_EXTENSION, RoomContext, Suite};

use super::notes::MAX_PAST_EPOCHS;
use crate::room::{RoomError, suite};

/// The library's name of a suite.
pub(super) fn ciphersuite(suite: Suite) -> Ciphersuite {
    match suite {
        Suite::Classic => Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        Suite::PostQuantum => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
    }
}

/// What a leaf says that it understands: both suites, so that a device can be in rooms of either.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![ciphersuite(Suite::Classic), ciphersuite(Suite::PostQuantum)])
        .extensions(vec![suite::CONTEXT, ExtensionType::LastResort])
        .proposals(vec![ProposalType::SelfRemove])
        .credentials(vec![suite::CREDENTIAL])
        .build()
}

/// The group context extensions of a room. A proposal that changes one repeats the other.
pub(super) fn extensions(context: &RoomContext) -> Result<Extensions<GroupContext>, RoomError> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(suite::required()),
        Extension::Unknown(ROOM_CONTEXT_EXTENSION, UnknownExtension(context.to_cbor())),
    ])
    .map_err(RoomError::mls)
}

/// How a room is founded.
pub(super) fn founding(suite: Suite, context: &RoomContext) -> Result<MlsGroupCreateConfig, RoomError> {
    Ok(MlsGroupCreateConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .set_past_epoch_deletion_policy(past_epochs())
        .sender_ratchet_configuration(ratchets())
        .ciphersuite(ciphersuite(suite))
        .capabilities(capabilities())
        .lifetime(suite::lifetime())
        .with_group_context_extensions(extensions(context)?)
        .build())
}

/// How a room is joined.
pub(super) fn joining() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .set_past_epoch_deletion_policy(past_epochs())
        .sender_ratchet_configuration(ratchets())
        .build()
}

fn past_epochs() -> PastEpochDeletionPolicy {
    PastEpochDeletionPolicy::MaxEpochs(MAX_PAST_EPOCHS)
}

fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_TOLERANCE, MAX_FORWARD_DISTANCE)
}
