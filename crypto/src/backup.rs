//! The key of one backup file, wrapped for whoever may open it: the owner of the recovery code, and the vault that wrote it.
//!
//! Writing needs no secret of the recovery code, only the public half of the [backup
//! key](crate::RecoveryCode::backup_key): so a backup is written without typing words.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use posthouse_spec::{SealKey, labels};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::seal::{SealError, open_with_info, seal_with_info};
use crate::secret::SealSecret;
use crate::stream::StreamKey;

/// The wrap's nonce: its key is derived for one file and used once.
const WRAP_NONCE: [u8; 12] = [0; 12];

/// The key of one backup file.
pub struct FileKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(secret)")
    }
}

impl FileKey {
    /// A new key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut_slice());
        Self(key)
    }

    /// What the segments are sealed with; `salt` is bound to them.
    #[must_use]
    pub fn stream(&self, salt: &[u8]) -> StreamKey {
        StreamKey::derive(labels::BACKUP_STREAM, salt, &self.0)
    }

    /// Wraps it for the owner of the recovery code; `aad` is bound to it.
    ///
    /// # Errors
    /// The key is not usable, or the system gives no randomness.
    pub fn seal_for_recovery(&self, key: &SealKey, aad: &[u8]) -> Result<Vec<u8>, SealError> {
        seal_with_info(key, labels::BACKUP_SEAL.as_bytes(), aad, self.0.as_slice())
    }

    /// Unwraps it with the recovery code's backup key.
    ///
    /// # Errors
    /// It was sealed to another key, or altered.
    pub fn open_with_recovery(secret: &SealSecret, aad: &[u8], sealed: &[u8]) -> Result<Self, SealError> {
        let opened = open_with_info(secret, labels::BACKUP_SEAL.as_bytes(), aad, sealed)?;
        Self::from_slice(&opened).ok_or(SealError::DoesNotOpen)
    }

    /// Wraps it under a vault's key; `salt` is new for each file.
    ///
    /// # Errors
    /// Never for a key of this length.
    pub fn wrap_for_vault(&self, vault: &[u8; 32], salt: &[u8]) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: self.0.as_slice(), aad: labels::BACKUP_VAULT.as_bytes() };
        vault_cipher(vault, salt)
            .encrypt(&Nonce::from(WRAP_NONCE), payload)
            .map_err(|_| SealError::DoesNotOpen)
    }

    /// Unwraps it with the vault's key.
    ///
    /// # Errors
    /// It was wrapped under another key, or altered.
    pub fn unwrap_with_vault(vault: &[u8; 32], salt: &[u8], wrapped: &[u8]) -> Result<Self, SealError> {
        let payload = Payload { msg: wrapped, aad: labels::BACKUP_VAULT.as_bytes() };
        let opened = vault_cipher(vault, salt)
            .decrypt(&Nonce::from(WRAP_NONCE), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError::DoesNotOpen)?;
        Self::from_slice(&opened).ok_or(SealError::DoesNotOpen)
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }
}

fn vault_cipher(vault: &[u8; 32], salt: &[u8]) -> ChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), vault)
        .expand(labels::BACKUP_VAULT.as_bytes(), key.as_mut_slice())
        .expect("32 bytes are within what HKDF-SHA-256 expands to");
    ChaCha20Poly1305::new(&(*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecoveryCode;

    fn same(left: &FileKey, right: &FileKey) -> bool {
        left.stream(b"").commitment() == right.stream(b"").commitment()
    }

    #[test]
    fn a_key_opens_for_its_owners_only() {
        let rng = &mut rand::rng();
        let (key, code) = (FileKey::generate(rng), RecoveryCode::generate(rng));
        let backup = code.backup_key();
        let sealed = key.seal_for_recovery(&backup.public(), b"salt").unwrap();
        assert!(same(&FileKey::open_with_recovery(&backup, b"salt", &sealed).unwrap(), &key));
        let other = RecoveryCode::generate(rng).backup_key();
        assert!(FileKey::open_with_recovery(&other, b"salt", &sealed).is_err());
        assert!(FileKey::open_with_recovery(&backup, b"pepper", &sealed).is_err());
        let wrapped = key.wrap_for_vault(&[1; 32], b"salt").unwrap();
        assert!(same(&FileKey::unwrap_with_vault(&[1; 32], b"salt", &wrapped).unwrap(), &key));
        assert!(FileKey::unwrap_with_vault(&[2; 32], b"salt", &wrapped).is_err());
        assert!(FileKey::unwrap_with_vault(&[1; 32], b"pepper", &wrapped).is_err());
        assert_eq!(format!("{key:?}"), "FileKey(secret)");
    }
}
