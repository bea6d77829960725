//! The key that mailbags for this relay are sealed to, in a file of its own that only the relay's user may read.
//!
//! Each line is one X25519 private key, 64 hexadecimal digits. The first is the one that the manifest names; the others only
//! open what was sealed before it was replaced. The file is written once, when the relay first names holders; to replace the
//! key, the operator puts a new line before the others.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use posthouse_crypto::{BagFault, SealError, SealSecret, open_mailbag};
use posthouse_spec::envelope::Envelope;
use posthouse_spec::peer::mailbag::Mailbag;
use posthouse_spec::{SealKey, Signed};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::keys::write_new;

/// The file in the data folder.
pub const KEY_FILE: &str = "mailbag.key";
/// Keys in the file: the newest, and those that it replaced.
const MAX_KEYS: usize = 8;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum MailbagKeyError {
    /// The file cannot be read or written.
    #[error("{doing} {path}: {error}; check that the data folder is yours and has space")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others may read the file.
    #[error(
        "{0} can be read by other users; run `chmod 600 {0}`, and if somebody may have read it, put a new key on its first line"
    )]
    Open(PathBuf),
    /// The file is not what was written.
    #[error(
        "{path} is damaged (line {line} is not 64 hexadecimal digits); restore it from a backup: without it nothing opens that others hold for this relay"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// The file does not hold what others seal to now.
    #[error(
        "{path} does not hold the mailbag key that this relay's newest manifest names ({named}): what others hold for this \
         relay opens with that one alone. Put it back from a backup, as a line of its own; if it is gone for good, start the \
         relay once without `holders` under [mailbags], and what is held until then stays closed"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The public half of the key.
        named: SealKey,
    },
    /// The file holds no key, or too many.
    #[error("{path} holds {found} keys, and 1 to {MAX_KEYS} are expected; restore it from a backup")]
    Number {
        /// The file.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
}

/// The keys that open mailbags, the newest first.
#[derive(Debug)]
pub struct MailbagKeys {
    newest: SealSecret,
    older: Vec<SealSecret>,
}

impl MailbagKeys {
    /// Reads the keys of a data folder, or makes one; `named` is the key that the relay's newest manifest names.
    ///
    /// # Errors
    /// Why they cannot be read or made, or that the named one is not among them.
    pub fn open(
        data: &Path,
        named: Option<SealKey>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, MailbagKeyError> {
        let found = Self::read(data)?;
        if let Some(named) = named
            && !found.as_ref().is_some_and(|keys| keys.holds(&named))
        {
            return Err(MailbagKeyError::Missing { path: data.join(KEY_FILE), named });
        }
        if let Some(keys) = found {
            return Ok(keys);
        }
        let newest = SealSecret::generate(rng);
        let path = data.join(KEY_FILE);
        let mut line = Zeroizing::new([b'\n'; 65]);
        hex::encode_to_slice(newest.to_bytes().as_slice(), &mut line[..64]).expect("32 bytes are 64 digits");
        let unwritable = |error| MailbagKeyError::Io { doing: "writing", path: path.clone(), error };
        write_new(&path, line.as_slice()).map_err(unwritable)?;
        Ok(Self { newest, older: Vec::new() })
    }

    /// Reads the keys of a data folder, if it has any.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn read(data: &Path) -> Result<Option<Self>, MailbagKeyError> {
        let path = data.join(KEY_FILE);
        let unreadable = |error| MailbagKeyError::Io { doing: "reading", path: path.clone(), error };
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        if fs::metadata(&path).map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
            return Err(MailbagKeyError::Open(path));
        }
        let mut keys = Vec::new();
        for (line, digits) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let mut bytes = Zeroizing::new([0; 32]);
            // What cannot be read is not quoted: it is a key.
            hex::decode_to_slice(digits.trim(), bytes.as_mut())
                .map_err(|_| MailbagKeyError::Damaged { path: path.clone(), line })?;
            keys.push(SealSecret::from_bytes(*bytes));
        }
        let found = keys.len();
        let mut keys = keys.into_iter();
        match keys.next() {
            Some(newest) if found <= MAX_KEYS => Ok(Some(Self { newest, older: keys.collect() })),
            _ => Err(MailbagKeyError::Number { path, found }),
        }
    }

    fn holds(&self, key: &SealKey) -> bool {
        std::iter::once(&self.newest).chain(&self.older).any(|secret| secret.public() == *key)
    }

    /// The key that the manifest names.
    #[must_use]
    pub fn public(&self) -> SealKey {
        self.newest.public()
    }

    /// Opens a bag with whichever key it was sealed to.
    ///
    /// # Errors
    /// It opens with none, or holds something else than it says.
    pub fn open_bag(&self, bag: &Mailbag) -> Result<Signed<Envelope>, BagFault> {
        let mut fault = BagFault::Seal(SealError::DoesNotOpen);
        for key in std::iter::once(&self.newest).chain(&self.older) {
            match open_mailbag(key, bag) {
                Err(BagFault::Seal(why)) => fault = BagFault::Seal(why),
                opened => return opened,
            }
        }
        Err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert!(MailbagKeys::read(folder.path()).unwrap().is_none());
        let first = MailbagKeys::open(folder.path(), None, &mut rand::rng()).unwrap();
        let again = MailbagKeys::open(folder.path(), None, &mut rand::rng()).unwrap();
        assert_eq!(first.public(), again.public());
        let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_first_line_is_named_and_every_line_opens() {
        let folder = tempfile::tempdir().unwrap();
        let old = MailbagKeys::open(folder.path(), None, &mut rand::rng()).unwrap();
        let path = folder.path().join(KEY_FILE);
        let text = format!("{}\n{}", "5e".repeat(32), fs::read_to_string(&path).unwrap());
        fs::write(&path, text).unwrap();
        let keys = MailbagKeys::read(folder.path()).unwrap().unwrap();
        assert_eq!(keys.public(), SealSecret::from_bytes([0x5e; 32]).public());
        assert_eq!(keys.older[0].public(), old.public());
    }

    #[test]
    fn a_key_that_others_seal_to_is_not_replaced_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let rng = &mut rand::rng();
        let named = MailbagKeys::open(folder.path(), None, rng).unwrap().public();
        let path = folder.path().join(KEY_FILE);
        let kept = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = MailbagKeys::open(folder.path(), Some(named), rng).unwrap_err();
        assert!(matches!(error, MailbagKeyError::Missing { .. }), "{error}");
        assert!(!path.exists());
        write_new(&path, "5e".repeat(32).as_bytes()).unwrap();
        let error = MailbagKeys::open(folder.path(), Some(named), rng).unwrap_err();
        assert!(error.to_string().contains(&named.to_string()), "{error}");
        // A new first line before it is how the key is replaced.
        fs::write(&path, format!("{}\n{kept}", "5e".repeat(32))).unwrap();
        assert_ne!(MailbagKeys::open(folder.path(), Some(named), rng).unwrap().public(), named);
    }

    #[test]
    fn a_damaged_file_is_named_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "5ec7e7".repeat(3);
        write_new(&folder.path().join(KEY_FILE), secret.as_bytes()).unwrap();
        let error = MailbagKeys::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains(&secret), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        MailbagKeys::open(folder.path(), None, &mut rand::rng()).unwrap();
        let path = folder.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(MailbagKeys::read(folder.path()), Err(MailbagKeyError::Open(_))));
    }
}
