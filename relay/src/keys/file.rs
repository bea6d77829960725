//! The file of the keys: read in every form that it ever had, written in the newest one, whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use posthouse_crypto::SigningKey;
use posthouse_spec::{Millis, PublicKey};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{FORMAT, KEYS_FILE, KeySince, Keys, KeysError, MANIFESTS, RetiringNode};

/// Only the version, so that a file of another form still says which it is.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The first form: four seeds.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct First {
    root: String,
    next_root: String,
    ordering: String,
    node: String,
}

/// The form that is written.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct File {
    format: u32,
    root: Secret,
    next_root: Secret,
    ordering: Secret,
    node: Secret,
    #[serde(default)]
    retiring: Vec<Retiring>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Secret {
    seed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Retiring {
    key: String,
    not_before: u64,
    not_after: u64,
}

impl Keys {
    /// Reads the keys of a data folder, or makes folder and keys at the first start.
    ///
    /// # Errors
    /// Why they cannot be read or made.
    pub fn open(data: &Path, now: Millis, rng: &mut impl CryptoRng) -> Result<Self, KeysError> {
        if let Some(keys) = Self::read(data)? {
            return Ok(keys);
        }
        let keys = Self::generate(now, rng);
        make_folder(data)?;
        let text = keys.text(&data.join(KEYS_FILE))?;
        let path = data.join(KEYS_FILE);
        write_new(&path, text.as_bytes()).map_err(|error| KeysError::Io { doing: "writing", path, error })?;
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
        let read = match version.format {
            // The parser's own message would quote the line, which is a key.
            1 => toml::from_str(&text).map_err(|_| "a key is missing".into()).and_then(|file| first(&file)),
            FORMAT => {
                toml::from_str(&text).map_err(|_| "a key is missing".into()).and_then(|file| second(&file))
            }
            found => return Err(KeysError::Newer { path, found }),
        };
        read.map(Some).map_err(damaged)
    }

    /// Writes keys that were read from an older form of the file in the newest one.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn modernise(&self, data: &Path) -> Result<(), KeysError> {
        let path = data.join(KEYS_FILE);
        let text = fs::read_to_string(&path).map(Zeroizing::new);
        let text = text.map_err(|error| KeysError::Io { doing: "reading", path, error })?;
        match toml::from_str(&text) {
            Ok(Version { format: FORMAT }) => Ok(()),
            _ => self.replace(data),
        }
    }

    /// Writes the keys in place of the earlier ones. Whatever happens meanwhile, the folder has the one or the other.
    ///
    /// # Errors
    /// Why they cannot be written; the earlier ones stay then.
    pub fn replace(&self, data: &Path) -> Result<(), KeysError> {
        let path = data.join(KEYS_FILE);
        let text = self.text(&path)?;
        let failed = |error| KeysError::Io { doing: "writing", path: path.clone(), error };
        let temporary = write_beside(&path, text.as_bytes()).map_err(failed)?;
        fs::rename(&temporary, &path).map_err(failed)?;
        sync_folder(&path).map_err(failed)
    }

    fn text(&self, path: &Path) -> Result<Zeroizing<String>, KeysError> {
        let secret = |key: &SigningKey, since: Option<Millis>| Secret {
            seed: hex::encode(*key.seed()),
            since: since.map(|since| since.0),
        };
        let retiring = |node: &RetiringNode| Retiring {
            key: hex::encode(node.key.as_bytes()),
            not_before: node.not_before.0,
            not_after: node.not_after.0,
        };
        let file = File {
            format: FORMAT,
            root: secret(&self.root.key, self.root.since),
            next_root: secret(&self.next_root, None),
            ordering: secret(&self.ordering.key, self.ordering.since),
            node: secret(&self.node.key, self.node.since),
            retiring: self.retiring.iter().map(retiring).collect(),
        };
        toml::to_string(&file)
            .map(Zeroizing::new)
            .map_err(|error| KeysError::Damaged { path: path.into(), why: error.to_string() })
    }
}

fn first(file: &First) -> Result<Keys, String> {
    let unknown = |key| KeySince { key, since: None };
    Ok(Keys {
        root: unknown(seed("root", &file.root)?),
        next_root: seed("next_root", &file.next_root)?,
        ordering: unknown(seed("ordering", &file.ordering)?),
        node: unknown(seed("node", &file.node)?),
        retiring: Vec::new(),
    })
}

fn second(file: &File) -> Result<Keys, String> {
    let secret = |name: &str, secret: &Secret| {
        Ok::<_, String>(KeySince { key: seed(name, &secret.seed)?, since: secret.since.map(Millis) })
    };
    let retiring = |node: &Retiring| {
        let mut key = [0; 32];
        hex::decode_to_slice(&node.key, &mut key)
            .map_err(|_| "a `retiring` key is not 64 hexadecimal digits".to_owned())?;
        let (not_before, not_after) = (Millis(node.not_before), Millis(node.not_after));
        Ok::<_, String>(RetiringNode { key: PublicKey::new(key), not_before, not_after })
    };
    Ok(Keys {
        root: secret("root", &file.root)?,
        next_root: seed("next_root", &file.next_root.seed)?,
        ordering: secret("ordering", &file.ordering)?,
        node: secret("node", &file.node)?,
        retiring: file.retiring.iter().map(retiring).collect::<Result<_, _>>()?,
    })
}

fn seed(name: &str, text: &str) -> Result<SigningKey, String> {
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, seed.as_mut())
        .map_err(|_| format!("`{name}` is not 64 hexadecimal digits"))?;
    Ok(SigningKey::from_seed(&seed))
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
    let temporary = write_beside(path, bytes)?;
    // A hard link fails where the name is taken, and a rename would not.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    sync_folder(path)
}

/// Writes what is to be a file under another name, durably, for its owner only.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<std::path::PathBuf> {
    let temporary = path.with_extension("new");
    // What a crash has left would keep its own permissions.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(temporary)
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
    use crate::keys::Overlap;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn open(data: &Path) -> Result<Keys, KeysError> {
        Keys::open(data, NOW, &mut rand::rng())
    }

    #[test]
    fn keys_are_made_once_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = open(&data).unwrap();
        let again = open(&data).unwrap();
        assert_eq!(first.root.public(), again.root.public());
        assert_eq!(first.node.public(), again.node.public());
        assert_eq!(again.node.since, Some(NOW));
        let mode = fs::metadata(data.join(KEYS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_was_replaced_is_read_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = open(folder.path()).unwrap();
        let old = keys.node.public();
        keys.rotate_node(NOW.after(5), Overlap::Week, &mut rand::rng());
        keys.replace(folder.path()).unwrap();
        let again = Keys::read(folder.path()).unwrap().unwrap();
        assert_eq!(again.node.public(), keys.node.public());
        assert_eq!(again.retiring, keys.retiring);
        assert_eq!(again.retiring[0].key, old);
        let mode = fs::metadata(folder.path().join(KEYS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no copy of a secret lies about: {left:?}");
    }

    #[test]
    fn a_crash_in_the_middle_of_writing_leaves_the_earlier_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = open(folder.path()).unwrap();
        let before = keys.node.public();
        // What a crash leaves: half of the new file under its other name, open to everybody.
        let half = folder.path().join(KEYS_FILE).with_extension("new");
        fs::write(&half, "format = 2\n[root]\nse").unwrap();
        assert_eq!(open(folder.path()).unwrap().node.public(), before);
        keys.rotate_node(NOW, Overlap::None, &mut rand::rng());
        keys.replace(folder.path()).unwrap();
        assert_eq!(open(folder.path()).unwrap().node.public(), keys.node.public());
        let mode = fs::metadata(folder.path().join(KEYS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_first_form_is_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let line = |name: &str, byte: &str| format!("{name} = \"{}\"\n", byte.repeat(32));
        let text = format!(
            "format = 1\n{}{}{}{}",
            line("root", "01"),
            line("next_root", "02"),
            line("ordering", "03"),
            line("node", "04")
        );
        write_new(&folder.path().join(KEYS_FILE), text.as_bytes()).unwrap();
        let keys = Keys::read(folder.path()).unwrap().unwrap();
        assert_eq!(keys.node.public(), SigningKey::from_seed(&[4; 32]).public());
        assert_eq!((keys.node.since, keys.retiring.len()), (None, 0));
        keys.replace(folder.path()).unwrap();
        let again = Keys::read(folder.path()).unwrap().unwrap();
        assert_eq!(again.next_root.public(), SigningKey::from_seed(&[2; 32]).public());
        assert_eq!(again.root.since, None);
    }

    #[test]
    fn lost_keys_are_not_replaced_by_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(MANIFESTS)).unwrap();
        assert!(matches!(open(folder.path()), Err(KeysError::Missing(_))));
        assert!(!folder.path().join(KEYS_FILE).exists());
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        write_new(&folder.path().join(KEYS_FILE), b"format = 3\n").unwrap();
        assert!(matches!(open(folder.path()), Err(KeysError::Newer { found: 3, .. })));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        let path = folder.path().join(KEYS_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(folder.path()), Err(KeysError::Open(_))));
    }

    #[test]
    fn a_damaged_file_is_named_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "5ec7e7".repeat(3);
        let first =
            format!("format = 1\nroot = \"{secret}\"\nnext_root = \"\"\nordering = \"\"\nnode = \"\"\n");
        let table = |name: &str| format!("[{name}]\nseed = \"{secret}\"\n");
        let second = ["root", "next_root", "ordering", "node"].map(table).concat();
        for text in [first, format!("format = 2\n{second}")] {
            let path = folder.path().join(KEYS_FILE);
            drop(fs::remove_file(&path));
            write_new(&path, text.as_bytes()).unwrap();
            let error = open(folder.path()).unwrap_err().to_string();
            assert!(error.contains("`root`") && !error.contains(&secret), "{error}");
        }
    }
}
