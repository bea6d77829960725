//! Seals to one device or relay: HPKE in base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20Poly1305.
//!
//! The `info` is a label, [`DEVICE_SEAL`](posthouse_spec::labels::DEVICE_SEAL) or
//! [`MAILBAG_SEAL`](posthouse_spec::labels::MAILBAG_SEAL), so that a seal made for another use of the same key does not
//! open here. The sealed form is the 32 bytes of the encapsulated key, then the ciphertext.

use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType};
use posthouse_spec::{SealKey, labels};
use zeroize::Zeroizing;

use crate::secret::SealSecret;

/// Length of the encapsulated key in front of a ciphertext, bytes.
const ENCAPSULATED_LEN: usize = 32;

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system gives no randomness.
    #[error("cannot seal: the operating system gives no randomness")]
    NoRandomness,
    /// The key to seal to is no usable X25519 key.
    #[error("cannot seal to this key: it is no usable X25519 key")]
    BadKey,
    /// The bytes are shorter than any seal.
    #[error("cannot open: {0} bytes are too short for a seal")]
    TooShort(usize),
    /// Sealed to another key, with other associated data, or altered.
    #[error("cannot open: sealed to another key or for another use, or altered on the way")]
    DoesNotOpen,
}

fn suite() -> HpkeConfig {
    HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305)
}

fn provider() -> Result<CryptoProvider, SealError> {
    CryptoProvider::new().map_err(|_| SealError::NoRandomness)
}

/// Seals `plaintext` to a device; `aad` is bound to it and must be given again to open it.
///
/// The ephemeral key comes from the operating system: HPKE's security rests on it, and no caller may choose it.
///
/// # Errors
/// The key is not usable, or the system gives no randomness.
pub fn seal_to(key: &SealKey, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    seal_with_info(key, labels::DEVICE_SEAL.as_bytes(), aad, plaintext)
}

/// Opens what [`seal_to`] sealed.
///
/// # Errors
/// The bytes are too short, or the seal does not open with this key and this `aad`.
pub fn open(secret: &SealSecret, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    open_with_info(secret, labels::DEVICE_SEAL.as_bytes(), aad, sealed)
}

pub(crate) fn seal_with_info(
    key: &SealKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let sealed = provider()?
        .hpke_seal(suite(), key.as_bytes(), info, aad, plaintext)
        .map_err(|_| SealError::BadKey)?;
    let mut bytes = Vec::with_capacity(ENCAPSULATED_LEN + sealed.ciphertext.as_slice().len());
    bytes.extend_from_slice(sealed.kem_output.as_slice());
    bytes.extend_from_slice(sealed.ciphertext.as_slice());
    Ok(bytes)
}

pub(crate) fn open_with_info(
    secret: &SealSecret,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (kem_output, ciphertext) =
        sealed.split_at_checked(ENCAPSULATED_LEN).ok_or(SealError::TooShort(sealed.len()))?;
    let sealed =
        HpkeCiphertext { kem_output: kem_output.to_vec().into(), ciphertext: ciphertext.to_vec().into() };
    provider()?
        .hpke_open(suite(), &sealed, secret.to_bytes().as_slice(), info, aad)
        .map(Zeroizing::new)
        .map_err(|_| SealError::DoesNotOpen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9180, appendix A.2.1.1, sequence number 0.
    #[test]
    fn the_vector_of_rfc_9180_opens() {
        let hex = |text: &str| hex::decode(text).expect("hexadecimal");
        let secret: [u8; 32] = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
            .try_into()
            .expect("32 bytes");
        let secret = SealSecret::from_bytes(secret);
        assert_eq!(
            hex::encode(secret.public().as_bytes()),
            "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
        );
        let sealed = hex(concat!(
            "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        ));
        let opened = open_with_info(&secret, b"Ode on a Grecian Urn", b"Count-0", &sealed).expect("it opens");
        assert_eq!(opened.as_slice(), b"Beauty is truth, truth beauty");
    }
}
