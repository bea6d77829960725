//! Where a vault lies, and how its key is got.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::ClientError;

/// Names the folder that holds all profiles, in place of the default.
const HOME_VARIABLE: &str = "POSTHOUSE_HOME";
/// Longest name of a profile, bytes.
const MAX_PROFILE_NAME: usize = 64;

/// How the vault's key is got.
#[derive(Clone)]
pub enum Unlock {
    /// From the keyring of the operating system.
    Keyring,
    /// From a passphrase, by Argon2id.
    Passphrase(Zeroizing<String>),
    /// From a file that only its owner can read; it is made when the vault is.
    KeyFile(PathBuf),
}

impl std::fmt::Debug for Unlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keyring => f.write_str("Keyring"),
            Self::Passphrase(_) => f.write_str("Passphrase(secret)"),
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
        }
    }
}

/// One account's folder on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    dir: PathBuf,
}

impl Profile {
    /// The profile `name` below `home`, or else below `$POSTHOUSE_HOME`, or else below `~/.local/share/posthouse`.
    ///
    /// # Errors
    /// The name would not make a folder of its own, or no home is known.
    pub fn locate(home: Option<&Path>, name: &str) -> Result<Self, ClientError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = (1..=MAX_PROFILE_NAME).contains(&name.len());
        if !fits || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(ClientError::BadProfileName(name.chars().take(MAX_PROFILE_NAME).collect()));
        }
        let home = match home {
            Some(home) => home.to_owned(),
            None => default_home().ok_or(ClientError::NoHome)?,
        };
        Ok(Self { dir: home.join(name) })
    }

    /// The folder; it may not exist yet.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The encrypted database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.dir.join("vault.db")
    }

    /// The header: how the key is got, and with which parameters.
    #[must_use]
    pub fn header(&self) -> PathBuf {
        self.dir.join("vault.key")
    }

    /// The file whose lock says that a process owns the vault.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("vault.lock")
    }

    /// The socket at which a process that owns the vault serves others.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }
}

fn default_home() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable(HOME_VARIABLE)
        .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("posthouse")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/share/posthouse")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_never_shows_itself() {
        let unlock = Unlock::Passphrase(Zeroizing::new("open sesame".to_owned()));
        assert_eq!(format!("{unlock:?}"), "Passphrase(secret)");
    }

    #[test]
    fn a_profile_name_never_leaves_its_home() {
        for bad in ["", ".", "..", "../x", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(Profile::locate(Some(Path::new("/h")), bad).is_err(), "{bad:?}");
        }
        let profile = Profile::locate(Some(Path::new("/h")), "work-2").expect("a plain name");
        assert_eq!(profile.dir(), Path::new("/h/work-2"));
    }
}
