//! A member who does not keep to this protocol: plain MLS through the library, without our checks.

use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::*;
use openmls_libcrux_crypto::Provider;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use posthouse_crypto::SigningKey;
use posthouse_spec::account::LeafClaim;
use posthouse_spec::room::{LEAF_CREDENTIAL, ROOM_CONTEXT_EXTENSION, RoomContext};
use posthouse_spec::{Cbor as _, RoomId};

use crate::support::{NOW, Pair, Person, rng};

pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// A leaf's key.
pub(crate) struct RawSigner(pub(crate) SigningKey);

impl Signer for RawSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign_bytes(payload).as_bytes().to_vec())
    }
    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl RawSigner {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SigningKey::generate(&mut rng(seed)))
    }
}

/// A true claim of a person to a leaf key.
pub(crate) fn claim(person: &Person, leaf: &RawSigner) -> LeafClaim {
    LeafClaim {
        account: person.account.id(),
        home: person.account.home().clone(),
        device: person.device.device_id(),
        seq: person.account.seq(),
        head: person.account.head(),
        leaf_key: leaf.0.public(),
        not_after: NOW,
    }
}

/// A credential of this protocol's type with any content.
pub(crate) fn credential(content: Vec<u8>, leaf: &RawSigner) -> CredentialWithKey {
    CredentialWithKey {
        credential: Credential::new(CredentialType::Other(LEAF_CREDENTIAL), content),
        signature_key: leaf.0.public().as_bytes().to_vec().into(),
    }
}

pub(crate) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .ciphersuites(vec![SUITE])
        .extensions(vec![ExtensionType::Unknown(ROOM_CONTEXT_EXTENSION), ExtensionType::LastResort])
        .proposals(vec![ProposalType::SelfRemove])
        .credentials(vec![CredentialType::Other(LEAF_CREDENTIAL), CredentialType::Basic])
        .build()
}

/// The extensions that a room of this protocol has.
pub(crate) fn extensions(context: &RoomContext) -> Vec<Extension> {
    let required = RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(ROOM_CONTEXT_EXTENSION)],
        &[ProposalType::SelfRemove],
        &[CredentialType::Other(LEAF_CREDENTIAL)],
    );
    vec![
        Extension::RequiredCapabilities(required),
        Extension::Unknown(ROOM_CONTEXT_EXTENSION, UnknownExtension(context.to_cbor())),
    ]
}

pub(crate) fn endless() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(crate) fn key_package(
    provider: &Provider,
    leaf: &RawSigner,
    credential: CredentialWithKey,
    lifetime: Lifetime,
) -> KeyPackage {
    KeyPackage::builder()
        .leaf_node_capabilities(capabilities())
        .key_package_lifetime(lifetime)
        .build(SUITE, provider, leaf, credential)
        .expect("MLS does not mind")
        .into_key_package()
}

pub(crate) fn bytes(message: impl Into<MlsMessageOut>) -> Vec<u8> {
    message.into().to_bytes().expect("it has an encoding")
}

/// The group info of a room that is founded without our checks.
pub(crate) fn founding(
    leaf: &RawSigner,
    credential: CredentialWithKey,
    life: Lifetime,
    ext: Vec<Extension>,
) -> Vec<u8> {
    let provider = Provider::default();
    let config = MlsGroupCreateConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .ciphersuite(SUITE)
        .capabilities(capabilities())
        .lifetime(life)
        .with_group_context_extensions(Extensions::from_vec(ext).expect("no extension twice"))
        .build();
    let id = GroupId::from_slice(RoomId::new([5; 32]).as_bytes());
    let group =
        MlsGroup::new_with_group_id(&provider, leaf, &config, id, credential).expect("MLS does not mind");
    bytes(group.export_group_info(provider.crypto(), leaf, true).expect("it exports"))
}

/// Mallory, in a room with Alice and Bob.
pub(crate) struct Mallory {
    pub(crate) person: Person,
    pub(crate) provider: Provider,
    pub(crate) leaf: RawSigner,
    pub(crate) group: MlsGroup,
}

impl Mallory {
    /// Alice invites Mallory, who joins without our checks.
    pub(crate) fn join(pair: &mut Pair) -> Self {
        let (person, provider, leaf) = (Person::new(4, "m.example"), Provider::default(), RawSigner::new(40));
        let content = person.device.sign(&claim(&person, &leaf)).as_bytes().to_vec();
        let package = key_package(&provider, &leaf, credential(content, &leaf), endless());
        let invitation = pair
            .alice_room
            .invite(&mut pair.alice.keys, &[bytes(package)])
            .expect("nothing is wrong with it");
        pair.observer.apply(pair.observer.judge(&invitation.commit).expect("admitted")).expect("applied");
        pair.alice_room.merge_own(&mut pair.alice.keys).expect("decided");
        pair.bob_room.apply(&mut pair.bob.keys, &invitation.commit).expect("Bob follows");
        let config =
            MlsGroupJoinConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).build();
        let read = |bytes: &[u8]| MlsMessageIn::tls_deserialize_exact(bytes).expect("a message").extract();
        let (MlsMessageBodyIn::Welcome(welcome), MlsMessageBodyIn::GroupInfo(info)) =
            (read(&invitation.welcome.expect("a Welcome")), read(&invitation.group_info))
        else {
            unreachable!("other messages");
        };
        let tree = info.extensions().ratchet_tree().expect("with its tree").ratchet_tree().clone();
        let group = StagedWelcome::new_from_welcome(&provider, &config, welcome, Some(tree))
            .and_then(|staged| staged.into_group(&provider))
            .expect("she joins");
        Self { person, provider, leaf, group }
    }

    /// A commit of what `change` puts into it; `None` where the library itself will not make one.
    pub(crate) fn commit(
        mut self,
        change: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
    ) -> Option<Vec<u8>> {
        let provider = self.provider;
        let builder = change(self.group.commit_builder());
        let bundle = builder
            .load_psks(provider.storage())
            .expect("no PSK is missing")
            .build(provider.rand(), provider.crypto(), &self.leaf, |_| true)
            .ok()?
            .stage_commit(&provider)
            .expect("it stages");
        Some(bytes(bundle.into_commit()))
    }
}
