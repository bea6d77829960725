//! STREAM: something long, sealed in segments, so that it is written and read in constant memory (Hoang, Reyhanitabar,
//! Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"; the form is that of age).
//!
//! Segments hold [`SEGMENT`] bytes each, the last one fewer or as many. Segment n is sealed with ChaCha20-Poly1305 under
//! the nonce that is n in 11 bytes, big-endian, and a byte that is 1 for the last segment. So none can be altered, left
//! out, repeated or moved, and nothing can be cut off or added unseen. The key is used for one stream only.
//!
//! ChaCha20-Poly1305 does not commit to its key: one ciphertext can be made that opens under two. The derivation yields a
//! [commitment](StreamKey::commitment) beside the key, which stands in front of the segments.

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a segment holds, bytes: 64 KiB.
pub const SEGMENT: usize = 64 * 1024;
/// How much longer a sealed segment is, bytes.
pub const SEGMENT_TAG: usize = 16;
/// What commits to the key, bytes.
pub const COMMITMENT: usize = 32;

/// Where a segment stands; segments are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Another one follows.
    Inner(u64),
    /// None follows.
    Last(u64),
}

impl Place {
    fn nonce(self) -> Nonce {
        let (number, last) = match self {
            Self::Inner(number) => (number, 0),
            Self::Last(number) => (number, 1),
        };
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = last;
        Nonce::from(nonce)
    }
}

/// The key of one stream.
pub struct StreamKey {
    cipher: ChaCha20Poly1305,
    commitment: [u8; COMMITMENT],
}

impl StreamKey {
    /// HKDF-SHA-256 (RFC 5869) of `secret` with `salt` under `label`: 32 bytes of key, then the commitment.
    #[must_use]
    pub fn derive(label: &str, salt: &[u8], secret: &[u8; 32]) -> Self {
        let mut derived = Zeroizing::new([0; 32 + COMMITMENT]);
        Hkdf::<Sha256>::new(Some(salt), secret)
            .expand(label.as_bytes(), derived.as_mut_slice())
            .expect("64 bytes are within what HKDF-SHA-256 expands to");
        let (mut key, mut commitment) = (Zeroizing::new([0; 32]), [0; COMMITMENT]);
        key.copy_from_slice(&derived[..32]);
        commitment.copy_from_slice(&derived[32..]);
        Self { cipher: ChaCha20Poly1305::new(&(*key).into()), commitment }
    }

    /// What commits to the key. It is no secret.
    #[must_use]
    pub fn commitment(&self) -> &[u8; COMMITMENT] {
        &self.commitment
    }

    /// Seals a segment; nothing only if it is longer than any cipher takes.
    #[must_use]
    pub fn seal(&self, place: Place, plain: &[u8]) -> Option<Vec<u8>> {
        self.cipher.encrypt(&place.nonce(), plain).ok()
    }

    /// Opens a segment; nothing if it is not the one of this place, or was altered.
    #[must_use]
    pub fn open(&self, place: Place, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.cipher.decrypt(&place.nonce(), sealed).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_opens_at_its_place_only() {
        let key = StreamKey::derive("a label", b"salt", &[7; 32]);
        let sealed = key.seal(Place::Inner(3), b"text").unwrap();
        assert_eq!(sealed.len(), 4 + SEGMENT_TAG);
        assert_eq!(key.open(Place::Inner(3), &sealed).unwrap().as_slice(), b"text");
        for place in [Place::Inner(2), Place::Inner(4), Place::Last(3)] {
            assert!(key.open(place, &sealed).is_none(), "{place:?}");
        }
        let mut altered = sealed.clone();
        altered[0] ^= 1;
        assert!(key.open(Place::Inner(3), &altered).is_none());
    }

    #[test]
    fn label_salt_and_secret_all_matter() {
        let key = StreamKey::derive("a label", b"salt", &[7; 32]);
        for other in [
            StreamKey::derive("another", b"salt", &[7; 32]),
            StreamKey::derive("a label", b"pepper", &[7; 32]),
            StreamKey::derive("a label", b"salt", &[8; 32]),
        ] {
            assert_ne!(other.commitment(), key.commitment());
            assert!(other.open(Place::Last(0), &key.seal(Place::Last(0), b"").unwrap()).is_none());
        }
    }
}
