//! The relay's own keys, in one file that only its user may read.
//!
//! Four keys, each for one purpose: the root key signs manifests; the next root key waits until the root is replaced,
//! and only its hash is published; the ordering key signs decisions and alias bindings; the node key is the libp2p
//! identity and signs envelopes. `file` reads and writes them; `rotate` replaces one by another; `ordering` is the
//! ordering key as the running relay signs with it; `report` is what an operator sees of them.
//!
//! Of a node key that was replaced only the public half is kept, for as long as the manifest lists it: nobody needs to
//! sign with it any more, and what is not there is not stolen.

mod file;
mod ordering;
mod report;
mod rotate;

use std::io;
use std::path::PathBuf;

use posthouse_crypto::SigningKey;
use posthouse_spec::{Millis, PublicKey};
use rand::CryptoRng;

pub use file::{sync_folder, write_new};
pub use ordering::OrderingKey;
pub use report::{KeyLine, KeysReport, Replaced};
pub(crate) use rotate::NODE_BACKDATE_MS;
pub use rotate::{OVERLAP_MS, Overlap, Which};

/// The file in the data folder.
pub const KEYS_FILE: &str = "keys.toml";
/// The folder in the data folder of what the root key signs; [`crate::manifest`] fills it.
pub const MANIFESTS: &str = "manifests";
/// The version of the file's form.
const FORMAT: u32 = 2;

/// A key, and since when it is in use; unknown for the keys of relays older than that note.
#[derive(Debug)]
pub struct KeySince {
    /// The key.
    pub key: SigningKey,
    /// Since when it has been in use.
    pub since: Option<Millis>,
}

/// A node key that was replaced and is still listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiringNode {
    /// Its public half: the private one is gone.
    pub key: PublicKey,
    /// From when it was good.
    pub not_before: Millis,
    /// Until when envelopes that it signed are taken.
    pub not_after: Millis,
}

/// The relay's own keys.
#[derive(Debug)]
pub struct Keys {
    /// Signs manifests.
    pub root: KeySince,
    /// Follows the root; only its hash is published until then.
    pub next_root: SigningKey,
    /// Signs decisions and alias bindings.
    pub ordering: KeySince,
    /// The node's libp2p identity, which signs envelopes.
    pub node: KeySince,
    /// Node keys before it, newest first.
    pub retiring: Vec<RetiringNode>,
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

impl KeySince {
    /// A new key, in use from now on.
    pub fn generate(now: Millis, rng: &mut impl CryptoRng) -> Self {
        Self { key: SigningKey::generate(rng), since: Some(now) }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// The key once more, for somebody else who signs with it.
    #[must_use]
    pub fn copy(&self) -> SigningKey {
        SigningKey::from_seed(&self.key.seed())
    }
}

impl Keys {
    /// Makes new keys.
    pub fn generate(now: Millis, rng: &mut impl CryptoRng) -> Self {
        Self {
            root: KeySince::generate(now, rng),
            next_root: SigningKey::generate(rng),
            ordering: KeySince::generate(now, rng),
            node: KeySince::generate(now, rng),
            retiring: Vec::new(),
        }
    }
}
