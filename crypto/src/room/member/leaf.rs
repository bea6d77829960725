//! Leaves of one's own: a fresh signature key for each, and the device's claim to it.

use std::fmt;

use openmls::prelude::{Credential, CredentialWithKey, KeyPackage, MlsMessageOut};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use posthouse_spec::account::LeafClaim;
use posthouse_spec::limits::LEAF_CLAIM_LIFETIME_MS;
use posthouse_spec::room::Suite;
use posthouse_spec::{AccountId, ChainSeq, Domain, EventHash, KeyPackageHash, Millis, PublicKey};
use rand_core::CryptoRng;

use super::storage::Kind;
use super::{Keys, config};
use crate::hash::key_package_hash;
use crate::room::{RoomError, suite};
use crate::secret::SigningKey;

/// What a leaf claim is made from.
#[derive(Debug, Clone)]
pub struct LeafIdentity<'a> {
    /// The account.
    pub account: AccountId,
    /// Its home relay.
    pub home: Domain,
    /// The device's key, which signs the claim.
    pub device: &'a SigningKey,
    /// A position of the account's chain at which the device is active.
    pub seq: ChainSeq,
    /// The hash of the event there.
    pub head: EventHash,
}

/// A key package whose private part is in the [`Keys`]. Take the writes and make them durable before it is uploaded.
#[derive(Clone)]
pub struct NewKeyPackage {
    /// The KeyPackage as an MLSMessage.
    pub bytes: Vec<u8>,
    /// Its name.
    pub hash: KeyPackageHash,
}

impl fmt::Debug for NewKeyPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKeyPackage({:?}, {} bytes)", self.hash, self.bytes.len())
    }
}

/// Makes a key package with a fresh leaf key; its private parts go into `keys`. The leaf key comes from `rng`, and
/// the MLS keys from the generator of the MLS library, which the operating system seeds.
///
/// # Errors
/// MLS refuses, or there is no randomness.
pub fn key_package(
    keys: &mut Keys,
    id: &LeafIdentity<'_>,
    suite: Suite,
    last_resort: bool,
    rng: &mut impl CryptoRng,
    now: Millis,
) -> Result<NewKeyPackage, RoomError> {
    keys.attempt(|keys| {
        let leaf = new_leaf(keys, id, rng, now);
        let mut builder = KeyPackage::builder()
            .leaf_node_capabilities(config::capabilities())
            .key_package_lifetime(suite::lifetime());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder
            .build(config::ciphersuite(suite), &keys.provider()?, &leaf.signer, leaf.credential)
            .map_err(RoomError::mls)?;
        let bytes = to_bytes(&MlsMessageOut::from(bundle.into_key_package()))?;
        Ok(NewKeyPackage { hash: key_package_hash(&bytes), bytes })
    })
}

/// A leaf's private key, as MLS signs with it.
pub(super) struct LeafSigner(SigningKey);

impl Signer for LeafSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign_bytes(payload).as_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl LeafSigner {
    /// The private key behind a leaf's signature key.
    pub(super) fn find(keys: &Keys, public: &[u8]) -> Result<Self, RoomError> {
        let missing = || RoomError::BadState("the private key of this device's leaf is missing".to_owned());
        let seed = keys
            .store()
            .fetch_own(Kind::LeafKey, public)
            .map_err(|error| RoomError::BadState(error.to_string()))?;
        let seed = seed.ok_or_else(missing)?;
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| missing())?;
        Ok(Self(SigningKey::from_seed(seed)))
    }

    /// The leaf's signature key.
    pub(super) fn public(&self) -> PublicKey {
        self.0.public()
    }
}

/// A leaf that is about to be made.
pub(super) struct NewLeaf {
    /// Its key.
    pub(super) signer: LeafSigner,
    /// The claim to it.
    pub(super) credential: CredentialWithKey,
}

/// A fresh leaf key, kept, with the device's claim to it.
pub(super) fn new_leaf(
    keys: &mut Keys,
    id: &LeafIdentity<'_>,
    rng: &mut impl CryptoRng,
    now: Millis,
) -> NewLeaf {
    let key = SigningKey::generate(rng);
    keys.store().put_own(Kind::LeafKey, key.public().as_bytes(), key.seed().as_slice());
    claimed(LeafSigner(key), id, now)
}

/// A device's claim to a leaf key.
pub(super) fn claimed(signer: LeafSigner, id: &LeafIdentity<'_>, now: Millis) -> NewLeaf {
    let leaf_key = signer.public();
    let claim = LeafClaim {
        account: id.account,
        home: id.home.clone(),
        device: id.device.device_id(),
        seq: id.seq,
        head: id.head,
        leaf_key,
        not_after: now.after(LEAF_CLAIM_LIFETIME_MS),
    };
    let content = id.device.sign(&claim).as_bytes().to_vec();
    let credential = CredentialWithKey {
        credential: Credential::new(suite::CREDENTIAL, content),
        signature_key: leaf_key.as_bytes().to_vec().into(),
    };
    NewLeaf { signer, credential }
}

/// A message's bytes.
pub(super) fn to_bytes(message: &MlsMessageOut) -> Result<Vec<u8>, RoomError> {
    message.to_bytes().map_err(RoomError::mls)
}
