//! The relay's own keys, in one file that only its user may read.
//!
//! Four keys, each for one purpose: the root key signs manifests; the next root key waits until the root is replaced,
//! and only its hash is published; the ordering key signs decisions and alias bindings; the node key is the libp2p
//! identity and signs envelopes. The file is written once, at the first start, and never overwritten.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use posthouse_crypto::SigningKey;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The file in the data folder.
pub const KEYS_FILE: &str = "keys.toml";
/// The folder in the data folder of what the root key signs; [`crate::manifest`] fills it.
pub const MANIFESTS: &str = "manifests";
/// The version of the file's form.
const FORMAT: u32 = 1;

/// The relay's own keys.
#[derive(Debug)]
pub struct Keys {
    /// Signs manifests.
    pub root: SigningKey,
    /// Follows the root; only its hash is published until then.
    pub next_root: SigningKey,
    /// Signs decisions and alias bindings.
    pub ordering: SigningKey,
    /// The node's libp2p identity, which signs envelopes.
    pub node: SigningKey,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The folder or file cannot be made or read.
    #[error("{doing} {path}: {error}; check that the data folder exists, is yours and has space")]
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
        "{0} can be read by other users; run `chmod 600 {0}`, and if somebody may have read it, replace the keys"
    )]
    Open(PathBuf),
    /// The file is of a later version.
    #[error(
        "{path} has format {found}, and this version knows {FORMAT}: it was written by a newer posthouse-relay; run that version"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The folder has been a relay's, and its keys are gone.
    #[error(
        "{0} is missing, and the data folder has been a relay's before; restore it from a backup: without it the relay cannot prove who it is"
    )]
    Missing(PathBuf),
    /// The file is not what was written.
    #[error(
        "{path} is damaged ({why}); restore it from a backup: without it the relay cannot prove who it is"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct File {
    format: u32,
    root: String,
    next_root: String,
    ordering: String,
    node: String,
}

/// Only the version, so that a file of another form still says which it is.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Keys {
    /// Makes new keys.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self {
            root: SigningKey::generate(rng),
            next_root: SigningKey::generate(rng),
            ordering: SigningKey::generate(rng),
            node: SigningKey::generate(rng),
        }
    }

    /// Reads the keys of a data folder, or makes folder and keys at the first start.
    ///
    /// # Errors
    /// Why they cannot be read or made.
    pub fn open(data: &Path, rng: &mut impl CryptoRng) -> Result<Self, KeysError> {
        if let Some(keys) = Self::read(data)? {
            return Ok(keys);
        }
        let keys = Self::generate(rng);
        make_folder(data)?;
        keys.write(data)?;
        Ok(keys)
    }

    /// Reads the keys of a data folder, if it has any.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn read(data: &Path) -> Result<Option<Self>, KeysError> {
        let path = data.join(KEYS_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            // Keys come before everything that they sign.
            Err(error) if error.kind() == io::ErrorKind::NotFound && data.join(MANIFESTS).exists() => {
                return Err(KeysError::Missing(path));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeysError::Io { doing: "reading", path, error }),
        };
        let mode = fs::metadata(&path)
            .map_err(|error| KeysError::Io { doing: "reading", path: path.clone(), error })?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(KeysError::Open(path));
        }
        let damaged = |why: String| KeysError::Damaged { path: path.clone(), why };
        let version: Version =
            toml::from_str(&text).map_err(|_| damaged("it has no format number".into()))?;
        if version.format != FORMAT {
            return Err(KeysError::Newer { path, found: version.format });
        }
        // The parser's own message would quote the line, which is a key.
        let file: File = toml::from_str(&text).map_err(|_| damaged("a key is missing".into()))?;
        let key = |name: &str, text: &str| {
            let mut seed = Zeroizing::new([0; 32]);
            hex::decode_to_slice(text, seed.as_mut())
                .map_err(|_| damaged(format!("`{name}` is not 64 hexadecimal digits")))?;
            Ok(SigningKey::from_seed(&seed))
        };
        Ok(Some(Self {
            root: key("root", &file.root)?,
            next_root: key("next_root", &file.next_root)?,
            ordering: key("ordering", &file.ordering)?,
            node: key("node", &file.node)?,
        }))
    }

    fn write(&self, data: &Path) -> Result<(), KeysError> {
        let path = data.join(KEYS_FILE);
        let seed = |key: &SigningKey| hex::encode(*key.seed());
        let file = File {
            format: FORMAT,
            root: seed(&self.root),
            next_root: seed(&self.next_root),
            ordering: seed(&self.ordering),
            node: seed(&self.node),
        };
        let text = toml::to_string(&file)
            .map(Zeroizing::new)
            .map_err(|error| KeysError::Damaged { path: path.clone(), why: error.to_string() })?;
        write_new(&path, text.as_bytes()).map_err(|error| KeysError::Io { doing: "writing", path, error })
    }
}

fn make_folder(data: &Path) -> Result<(), KeysError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| KeysError::Io {
        doing: "making the data folder",
        path: data.into(),
        error,
    })
}

/// Writes a file whole or not at all, for its owner only; an existing one is left alone.
///
/// # Errors
/// What the system said.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A hard link fails where the name is taken, and a rename would not.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    sync_folder(path)
}

/// Makes the entries of a file's folder durable.
///
/// # Errors
/// What the system said.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = Keys::open(&data, &mut rand::rng()).unwrap();
        let again = Keys::open(&data, &mut rand::rng()).unwrap();
        assert_eq!(first.root.public(), again.root.public());
        assert_eq!(first.node.public(), again.node.public());
        let mode = fs::metadata(data.join(KEYS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn lost_keys_are_not_replaced_by_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(MANIFESTS)).unwrap();
        assert!(matches!(Keys::open(folder.path(), &mut rand::rng()), Err(KeysError::Missing(_))));
        assert!(!folder.path().join(KEYS_FILE).exists());
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        write_new(&folder.path().join(KEYS_FILE), b"format = 2\n").unwrap();
        assert!(matches!(
            Keys::open(folder.path(), &mut rand::rng()),
            Err(KeysError::Newer { found: 2, .. })
        ));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path(), &mut rand::rng()).unwrap();
        let path = folder.path().join(KEYS_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::open(folder.path(), &mut rand::rng()), Err(KeysError::Open(_))));
    }

    #[test]
    fn a_damaged_file_is_named_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "5ec7e7".repeat(3);
        let text =
            format!("format = 1\nroot = \"{secret}\"\nnext_root = \"\"\nordering = \"\"\nnode = \"\"\n");
        write_new(&folder.path().join(KEYS_FILE), text.as_bytes()).unwrap();
        let error = Keys::open(folder.path(), &mut rand::rng()).unwrap_err().to_string();
        assert!(error.contains("`root`") && !error.contains(&secret), "{error}");
    }
}
