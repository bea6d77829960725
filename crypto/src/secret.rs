//! Private keys and the recovery code. All are wiped from memory when dropped, and none shows itself in a log.

use std::fmt;

use bip39::{Language, Mnemonic};
use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use posthouse_spec::sign1::to_be_signed;
use posthouse_spec::{DeviceId, Payload, PublicKey, SealKey, Signature, Signed, labels};
use rand_core::CryptoRng;
use sha2::Sha256;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// An Ed25519 private key: a device's, a relay's root, ordering or node key, or the recovery key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// The key that was stored as this seed (RFC 8032, section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// What is stored of it.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::new(self.0.verifying_key().to_bytes())
    }

    /// The public half as a device's id.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::new(self.0.verifying_key().to_bytes())
    }

    /// Signs a payload under its kind's label.
    #[must_use]
    pub fn sign<T: Payload>(&self, payload: &T) -> Signed<T> {
        let kid = self.public();
        let bytes = payload.to_cbor();
        let signature = self.sign_bytes(&to_be_signed(T::LABEL, &kid, &bytes));
        Signed::assemble(kid, &bytes, signature)
    }

    /// Signs bytes that carry their own domain separation.
    #[must_use]
    pub fn sign_bytes(&self, message: &[u8]) -> Signature {
        Signature::new(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, secret)", self.public())
    }
}

/// An X25519 private key, which opens what is sealed to its device.
pub struct SealSecret(StaticSecret);

impl SealSecret {
    /// A new key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(StaticSecret::from(*bytes))
    }

    /// The key that was stored as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }

    /// What is stored of it.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> SealKey {
        SealKey::new(x25519_dalek::PublicKey::from(&self.0).to_bytes())
    }
}

impl fmt::Debug for SealSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealSecret({:?}, secret)", self.public())
    }
}

/// Words of a recovery code.
pub(crate) const RECOVERY_WORDS: usize = 24;
/// Entropy behind a recovery code, bytes.
pub(crate) const RECOVERY_ENTROPY: usize = 32;

/// What is wrong with a recovery code that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecoveryCode {
    /// Words are missing or too many.
    #[error("a recovery code has {RECOVERY_WORDS} words, but this has {0}: check that none is missing")]
    WordCount(usize),
    /// A word that is not on the list.
    #[error("word {position} of the recovery code is not on the word list: check its spelling")]
    UnknownWord {
        /// Its place, from 1.
        position: usize,
    },
    /// All words are known, but they do not belong together.
    #[error("the recovery code's checksum does not hold: a word is wrong, or two are swapped")]
    Checksum,
}

/// The 24 words (BIP-39, English) from which an account's recovery key comes. It is shown once and kept on paper.
pub struct RecoveryCode(Mnemonic);

impl RecoveryCode {
    /// A new code.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; RECOVERY_ENTROPY]);
        rng.fill_bytes(entropy.as_mut_slice());
        Self::from_entropy(&entropy)
    }

    /// The code that this entropy makes.
    pub(crate) fn from_entropy(entropy: &[u8; RECOVERY_ENTROPY]) -> Self {
        Self(
            Mnemonic::from_entropy_in(Language::English, entropy)
                .expect("32 bytes of entropy always make 24 words"),
        )
    }

    /// Reads a code as it was typed: any case, any white space.
    ///
    /// # Errors
    /// How many words there are, which word is unknown, or that the checksum fails. The words themselves are never in
    /// the error, because errors are logged.
    pub fn parse(text: &str) -> Result<Self, BadRecoveryCode> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if count != RECOVERY_WORDS {
            return Err(BadRecoveryCode::WordCount(count));
        }
        match Mnemonic::parse_in_normalized(Language::English, &text) {
            Ok(mnemonic) => Ok(Self(mnemonic)),
            Err(bip39::Error::UnknownWord(index)) => {
                Err(BadRecoveryCode::UnknownWord { position: index + 1 })
            }
            Err(bip39::Error::BadWordCount(count)) => Err(BadRecoveryCode::WordCount(count)),
            Err(_) => Err(BadRecoveryCode::Checksum),
        }
    }

    /// The words, to be shown once.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        // Sized for the longest words, so that no shorter copy stays behind when it grows.
        let mut words = Zeroizing::new(String::with_capacity(RECOVERY_WORDS * 9));
        for word in self.0.words() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
        }
        words
    }

    /// The recovery key: HKDF-SHA-256 (RFC 5869) of the entropy, without salt, under the label
    /// [`RECOVERY_KEY`](labels::RECOVERY_KEY).
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.derive(labels::RECOVERY_KEY))
    }

    /// The backup key, to which backups are sealed: derived as the recovery key is, under the label
    /// [`BACKUP_KEY`](labels::BACKUP_KEY).
    #[must_use]
    pub fn backup_key(&self) -> SealSecret {
        SealSecret::from_bytes(*self.derive(labels::BACKUP_KEY))
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let entropy = Zeroizing::new(self.0.to_entropy());
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &entropy)
            .expand(label.as_bytes(), key.as_mut_slice())
            .expect("32 bytes are within what HKDF-SHA-256 expands to");
        key
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(secret)")
    }
}
