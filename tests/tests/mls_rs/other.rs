//! Somebody who uses mls-rs.

use std::time::Duration;

use mls_rs::client_builder::{BaseConfig, PaddingMode, WithCryptoProvider, WithIdentityProvider};
use mls_rs::error::{IntoAnyError, MlsError};
use mls_rs::extension::ExtensionType;
use mls_rs::extension::built_in::RatchetTreeExt;
use mls_rs::group::proposal::ProposalType;
use mls_rs::group::{CommitBuilder, CommitMessageDescription, ReceivedMessage};
use mls_rs::identity::{Credential, CredentialType, CustomCredential, SigningIdentity};
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions};
use mls_rs::time::MlsTime;
use mls_rs::{
    CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, Extension, ExtensionList, Group,
    IdentityProvider, MlsMessage,
};
use mls_rs_core::identity::MemberValidationContext;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use posthouse_crypto::{Verified, verify};
use posthouse_spec::account::LeafClaim;
use posthouse_spec::content::{pad, unpad};
use posthouse_spec::room::{LEAF_CREDENTIAL, LeaveClaim, ROOM_CONTEXT_EXTENSION, RoomContext};
use posthouse_spec::{AccountId, Cbor as _, Epoch, PublicKey, RoomId, Signed, cbor::List};

use crate::person::{Heard, Person, content};

/// Suite 0x0003 in the words of mls-rs.
const SUITE: CipherSuite = CipherSuite::CURVE25519_CHACHA;
/// The code point of SelfRemove (draft-ietf-mls-extensions). To mls-rs it is a custom proposal.
pub(crate) const SELF_REMOVE: ProposalType = ProposalType::new(0x000A);

pub(crate) type Config = WithIdentityProvider<Claims, WithCryptoProvider<RustCryptoProvider, BaseConfig>>;

/// Leaf claims as mls-rs asks for identities.
#[derive(Debug, Clone)]
pub(crate) struct Claims;

/// Why an identity is refused.
#[derive(Debug)]
pub(crate) struct NoClaim(String);

impl IntoAnyError for NoClaim {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(self.0.into())
    }
}

/// The claim of a leaf, checked against the leaf's key.
fn claim(identity: &SigningIdentity) -> Result<Verified<LeafClaim>, NoClaim> {
    let custom = identity.credential.as_custom().ok_or_else(|| NoClaim("of another type".to_owned()))?;
    let signed = Signed::<LeafClaim>::from_bytes(custom.data.clone().into());
    let signed = signed.map_err(|fault| NoClaim(fault.to_string()))?;
    let claimed = signed.peek().map_err(|fault| NoClaim(fault.to_string()))?;
    let claim =
        verify(&signed, &PublicKey::from(claimed.device)).map_err(|error| NoClaim(error.to_string()))?;
    match claim.leaf_key.as_bytes().as_slice() == identity.signature_key.as_bytes() {
        true => Ok(claim),
        false => Err(NoClaim("for another key".to_owned())),
    }
}

impl IdentityProvider for Claims {
    type Error = NoClaim;

    fn validate_member(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        _: MemberValidationContext<'_>,
    ) -> Result<(), NoClaim> {
        claim(identity).map(drop)
    }

    fn validate_external_sender(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), NoClaim> {
        Err(NoClaim("rooms have no external senders".to_owned()))
    }

    fn identity(&self, identity: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, NoClaim> {
        Ok(claim(identity)?.device.as_bytes().to_vec())
    }

    fn valid_successor(
        &self,
        old: &SigningIdentity,
        new: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, NoClaim> {
        let (old, new) = (claim(old)?, claim(new)?);
        Ok((old.account, old.device) == (new.account, new.device))
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::new(LEAF_CREDENTIAL)]
    }
}

/// A commit that mls-rs has made, with what our protocol wants beside it.
pub(crate) struct Made {
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) group_info: Vec<u8>,
}

/// Somebody with mls-rs.
pub(crate) struct Other {
    pub(crate) person: Person,
    client: Client<Config>,
    group: Option<Group<Config>>,
    /// The own commit that waits for its decision.
    pending: Option<Vec<u8>>,
}

impl Other {
    /// Somebody whose leaves live without end, as this protocol wants it.
    pub(crate) fn new(seed: u64, domain: &str) -> Self {
        Self::living(seed, domain, Duration::from_secs(u64::MAX))
    }

    /// Somebody whose leaves live for this long from the beginning of all time on.
    pub(crate) fn living(seed: u64, domain: &str, lifetime: Duration) -> Self {
        let person = Person::new(seed, domain);
        let crypto = RustCryptoProvider::with_enabled_cipher_suites(vec![SUITE]);
        let suite = crypto.cipher_suite_provider(SUITE).unwrap();
        let (secret, public) = suite.signature_key_generate().unwrap();
        let signed = person.claim(PublicKey::from_slice(public.as_bytes()).unwrap());
        let credential =
            CustomCredential::new(CredentialType::new(LEAF_CREDENTIAL), signed.as_bytes().to_vec());
        let rules = DefaultMlsRules::new()
            .with_commit_options(CommitOptions::new().with_ratchet_tree_extension(false))
            .with_encryption_options(EncryptionOptions::new(false, PaddingMode::None));
        let client = Client::builder()
            .extension_type(ExtensionType::new(ROOM_CONTEXT_EXTENSION))
            .custom_proposal_type(SELF_REMOVE)
            .key_package_lifetime(lifetime)
            .mls_rules(rules)
            .crypto_provider(crypto)
            .identity_provider(Claims)
            .signing_identity(SigningIdentity::new(Credential::Custom(credential), public), secret, SUITE)
            .build();
        Self { person, client, group: None, pending: None }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.person.account.id()
    }

    /// A key package. mls-rs would begin its lifetime now; a room never looks at a clock.
    pub(crate) fn key_package(&self) -> Vec<u8> {
        let (none, begin) = (ExtensionList::new(), MlsTime::from(0));
        let message = self.client.generate_key_package_message(none.clone(), none, Some(begin)).unwrap();
        message.to_bytes().unwrap()
    }

    pub(crate) fn join(&mut self, welcome: &[u8], group_info: &[u8]) {
        let group_info = MlsMessage::from_bytes(group_info).unwrap().into_group_info().unwrap();
        let tree = group_info.extensions().get_as::<RatchetTreeExt>().unwrap().unwrap().tree_data;
        let welcome = MlsMessage::from_bytes(welcome).unwrap();
        let (group, _) = self.client.join_group(Some(tree), &welcome, None).unwrap();
        assert_eq!(group.context(), group_info.group_context());
        self.group = Some(group);
    }

    pub(crate) fn group(&mut self) -> &mut Group<Config> {
        self.group.as_mut().unwrap()
    }

    pub(crate) fn is_member(&self) -> bool {
        self.group.is_some()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.group.as_ref().unwrap().current_epoch())
    }

    /// What the room agreed on.
    pub(crate) fn context(&self) -> RoomContext {
        let extensions = &self.group.as_ref().unwrap().context().extensions;
        let extension = extensions.get(ExtensionType::new(ROOM_CONTEXT_EXTENSION)).unwrap();
        RoomContext::from_cbor(&extension.extension_data).unwrap()
    }

    /// Every leaf with its claim, in the order of the tree.
    pub(crate) fn members(&self) -> Vec<(u32, Verified<LeafClaim>)> {
        let roster = self.group.as_ref().unwrap().roster();
        roster.members_iter().map(|leaf| (leaf.index, claim(&leaf.signing_identity).unwrap())).collect()
    }

    /// The leaf of an account.
    pub(crate) fn leaf_of(&self, account: AccountId) -> u32 {
        self.members().iter().find(|(_, claim)| claim.account == account).unwrap().0
    }

    /// Makes a commit, which waits for its decision.
    pub(crate) fn commit(
        &mut self,
        change: impl FnOnce(CommitBuilder<'_, Config>) -> CommitBuilder<'_, Config>,
    ) -> Made {
        let group = self.group();
        let output = change(group.commit_builder()).build().unwrap();
        let mut next = group.clone();
        next.apply_pending_commit().unwrap();
        let group_info = next.group_info_message_allowing_ext_commit(true).unwrap().to_bytes().unwrap();
        let commit = output.commit_message().to_bytes().unwrap();
        let welcome = output.welcome_messages().first().map(|welcome| welcome.to_bytes().unwrap());
        self.pending = Some(commit.clone());
        Made { commit, welcome, group_info }
    }

    /// Makes a commit that changes what the room agrees on.
    pub(crate) fn change_context(&mut self, context: &RoomContext) -> Made {
        let mut extensions = self.group().context().extensions.clone();
        extensions.set(Extension::new(ExtensionType::new(ROOM_CONTEXT_EXTENSION), context.to_cbor()));
        self.commit(|commit| commit.set_group_context_ext(extensions).unwrap())
    }

    /// Drops the own commit that waits.
    pub(crate) fn drop_own(&mut self) {
        self.pending = None;
        self.group().clear_pending_commit();
    }

    /// Forgets the room.
    pub(crate) fn forget(&mut self) {
        self.group = None;
    }

    /// Takes a decided commit. An own one that waited is dropped where another one was decided.
    pub(crate) fn take(&mut self, commit: &[u8]) -> CommitMessageDescription {
        let own = self.pending.take();
        let group = self.group();
        let seen = if own.as_deref() == Some(commit) {
            group.apply_pending_commit().unwrap()
        } else {
            group.clear_pending_commit();
            match group.process_incoming_message(MlsMessage::from_bytes(commit).unwrap()).unwrap() {
                ReceivedMessage::Commit(seen) => seen,
                other => panic!("not a commit: {other:?}"),
            }
        };
        group.write_to_storage().unwrap();
        seen
    }

    pub(crate) fn say(&mut self, text: &str) -> Vec<u8> {
        self.group()
            .encrypt_application_message(&pad(&content(text)), Vec::new())
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    pub(crate) fn hear(&mut self, body: &[u8]) -> Result<Heard, MlsError> {
        let message = MlsMessage::from_bytes(body)?;
        match self.group().process_incoming_message(message)? {
            ReceivedMessage::ApplicationMessage(message) => {
                let from =
                    self.members().into_iter().find(|(leaf, _)| *leaf == message.sender_index).unwrap();
                Ok(Heard::new(from.1.account, unpad(message.data()).unwrap()))
            }
            other => panic!("not a sealed message: {other:?}"),
        }
    }

    /// This account's word that it leaves.
    pub(crate) fn leave_claim(&self, room: RoomId) -> Signed<LeaveClaim> {
        let own = self.members().into_iter().map(|(_, claim)| claim);
        let leaves =
            own.filter(|claim| claim.account == self.account()).map(|claim| claim.leaf_key).collect();
        let leaves = List::new(leaves).unwrap();
        self.person.device.sign(&LeaveClaim { room, account: self.account(), leaves })
    }
}
