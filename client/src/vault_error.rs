//! What can go wrong with a vault.

use std::path::PathBuf;

/// Why a vault cannot be opened or written. A vault is never deleted over any of these.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The profile has none.
    #[error("there is no vault in {0}: run `register` first, or name another --profile")]
    Missing(PathBuf),
    /// Its header is there, and the database is not.
    #[error(
        "the vault's database {0} is missing, though its key is there: restore it from a backup; only if the registration never came to its end, run `register` again"
    )]
    DatabaseMissing(PathBuf),
    /// The profile has one already.
    #[error("there is a vault in {0} already")]
    Exists(PathBuf),
    /// Another process owns it.
    #[error("another process owns the vault in {0}: stop it (a running `listen`, perhaps) and try again")]
    Busy(PathBuf),
    /// No keyring on this machine.
    #[error(
        "the operating system's keyring cannot be used ({0}): use a passphrase, or a key file with --key-file"
    )]
    NoKeyring(String),
    /// The keyring lost the key.
    #[error("the keyring holds no key for this vault ({0}): unlock the keyring, or restore its entry `{1}`")]
    KeyringEntry(String, String),
    /// The vault is opened another way.
    #[error("this vault is opened with {0}, not with what was given")]
    OtherUnlock(&'static str),
    /// The passphrase is wrong.
    #[error("the passphrase is wrong: nothing was changed, try again")]
    WrongPassphrase,
    /// The key file is not this vault's.
    #[error("{0} is not the key of this vault: name the file with which it was made")]
    WrongKey(PathBuf),
    /// The key file is not there.
    #[error("cannot read the key file {path}: {why}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Others can read the key file.
    #[error(
        "the key file {path} can be read by others (mode {mode:03o}): run `chmod 600` on it, and consider who may have read it"
    )]
    KeyFileExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The header is damaged.
    #[error(
        "the vault's header {path} is damaged ({why}): restore this file from a backup; the messages are still in the vault, and nothing was changed"
    )]
    HeaderDamaged {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// The database is damaged.
    #[error("the vault {path} is damaged ({why}): restore the folder from a backup; nothing was changed")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// A page of the database is damaged.
    #[error("the vault is damaged ({0}): restore its folder from a backup; nothing was changed")]
    DamagedPage(String),
    /// The vault was written by a newer version.
    #[error(
        "the vault {path} was written by a newer version of this program: update the program; nothing was changed"
    )]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The database library does not encrypt.
    #[error(
        "this build has no encryption for the vault, so it will not open one: use a build with SQLCipher"
    )]
    NotEncrypted,
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Reading or writing the database failed.
    #[error("the vault cannot be used: {0}")]
    Sql(String),
    /// What is in the database does not make sense.
    #[error("the vault holds something that this version cannot read: {0}")]
    Content(String),
    /// The operating system gives no randomness, or too little memory.
    #[error("cannot derive the vault's key: {0}")]
    Derive(String),
}

impl VaultError {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "no-vault",
            Self::DatabaseMissing(_) => "vault-database-missing",
            Self::Exists(_) => "vault-exists",
            Self::Busy(_) => "vault-busy",
            Self::NoKeyring(_) => "no-keyring",
            Self::KeyringEntry(..) => "keyring-entry-missing",
            Self::OtherUnlock(_) => "other-unlock",
            Self::WrongPassphrase => "wrong-passphrase",
            Self::WrongKey(_) => "wrong-key-file",
            Self::KeyFile { .. } => "key-file-unreadable",
            Self::KeyFileExposed { .. } => "key-file-exposed",
            Self::HeaderDamaged { .. } => "vault-header-damaged",
            Self::Damaged { .. } | Self::DamagedPage(_) => "vault-damaged",
            Self::Newer { .. } => "vault-newer",
            Self::NotEncrypted => "vault-not-encrypted",
            Self::File { .. } => "vault-file",
            Self::Sql(_) => "vault-sql",
            Self::Content(_) => "vault-content",
            Self::Derive(_) => "vault-key",
        }
    }
}
