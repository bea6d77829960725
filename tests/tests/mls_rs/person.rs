//! Who somebody is, whatever MLS they use: an account with one device.

use posthouse_crypto::room::member::LeafIdentity;
use posthouse_crypto::{Account, SealSecret, SigningKey, identity};
use posthouse_spec::account::{DeviceKeys, LeafClaim};
use posthouse_spec::content::MimiContent;
use posthouse_spec::limits::LEAF_CLAIM_LIFETIME_MS;
use posthouse_spec::{AccountId, Cbor as _, Millis, PublicKey, Signed};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The time of every story.
pub(crate) const NOW: Millis = Millis(1_790_000_000_000);

/// Somebody with one device.
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) device: SigningKey,
    pub(crate) rng: StdRng,
}

impl Person {
    /// A new person whose home is `domain`.
    pub(crate) fn new(seed: u64, domain: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (recovery, device) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let keys = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(&mut rng).public() };
        let genesis = identity::genesis(&recovery, keys, domain.parse().unwrap(), &mut rng, NOW);
        Self { account: Account::validate(&[genesis]).unwrap(), device, rng }
    }

    /// The device's claim to a leaf key that somebody else's MLS has made.
    pub(crate) fn claim(&self, leaf_key: PublicKey) -> Signed<LeafClaim> {
        self.device.sign(&LeafClaim {
            account: self.account.id(),
            home: self.account.home().clone(),
            device: self.device.device_id(),
            seq: self.account.seq(),
            head: self.account.head(),
            leaf_key,
            not_after: NOW.after(LEAF_CLAIM_LIFETIME_MS),
        })
    }
}

/// What our side makes leaf claims from.
pub(crate) fn leaf<'a>(account: &Account, device: &'a SigningKey) -> LeafIdentity<'a> {
    LeafIdentity {
        account: account.id(),
        home: account.home().clone(),
        device,
        seq: account.seq(),
        head: account.head(),
    }
}

/// A text as content.
pub(crate) fn content(text: &str) -> Vec<u8> {
    MimiContent::text([7; 16], text).unwrap().to_cbor()
}

/// What somebody hears: who said it, and the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) from: AccountId,
    pub(crate) text: String,
}

impl Heard {
    pub(crate) fn new(from: AccountId, content: &[u8]) -> Self {
        let content = MimiContent::from_cbor(content).unwrap();
        Self { from, text: content.as_text().unwrap().to_owned() }
    }
}
