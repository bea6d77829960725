//! Backups: one file that holds what lasts of a vault, sealed for the owner of the recovery code.
//!
//! The file, from its beginning:
//!
//! 1. A line that names format and version.
//! 2. The [header]: its length in 4 bytes (big-endian) and a CBOR record with public facts (account, alias, time,
//!    recovery key), a salt, and the file's own key, wrapped twice: sealed to the backup key that comes from the 24 words,
//!    and under the key of the vault that wrote it. So no words are needed to write it or to check it. Behind it stands the
//!    SHA-256 of all before it, so that a damaged header is told from another vault's backup.
//! 3. What commits to the file's key, 32 bytes. Derived from the key and the hash of all before it, so that no header fits
//!    another file's segments.
//! 4. [Segments](sealed) (`posthouse_crypto::stream`): written and read in constant memory, and refused by number.
//!
//! Inside are [frames](frame): each table of [`tables`](crate::vault::tables), its rows, and their number and digest. A
//! backup holds no key of the device and no ratchet: two devices with one ratchet would give its secrets away. What comes
//! back is the history, and a device that is yet to be enrolled.

mod frame;
mod header;
mod sealed;

pub(crate) mod read;
pub(crate) mod write;

use posthouse_spec::{AccountId, Alias, Millis};
use serde::{Deserialize, Serialize};

/// What a backup holds of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// The digest of all of them, hexadecimal.
    pub digest: String,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose it is.
    pub alias: Alias,
    /// Whose it is, by account.
    pub account: AccountId,
    /// When it was written.
    pub created: Millis,
    /// How long that is ago by this device's clock, milliseconds.
    pub age_ms: u64,
    /// Its tables.
    pub tables: Vec<Contents>,
}

impl Report {
    /// How many rows of this table it holds.
    #[must_use]
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.iter().find(|held| held.table == table).map_or(0, |held| held.rows)
    }
}
