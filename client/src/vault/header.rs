//! The vault's header: how its key is got. It holds no secret that opens the vault by itself.
//!
//! A line that names format and version, a CBOR record, and the SHA-256 of both, so that a damaged header is told from
//! a wrong passphrase.

use std::path::Path;

use posthouse_crypto::sha256;
use posthouse_spec::cbor::{Cbor, Octets, Text};
use posthouse_spec::{choice, record};

use super::file::{failed, read_bounded, write_whole};
use crate::error::VaultError;

/// What every version's first line begins with.
const MAGIC: &[u8] = b"posthouse vault ";
/// The first line of this version.
const FIRST_LINE: &[u8] = b"posthouse vault 1\n";
/// Largest header, bytes.
const MAX_HEADER: u64 = 4096;

record! {
    /// The key lies in the keyring of the operating system.
    pub(super) struct KeyringWrap {
        /// The keyring's entry.
        1 => entry: Text<128>,
        /// [`key_check`](super::key::key_check) of the key.
        2 => check: Octets<8>,
    }
}

record! {
    /// The key lies here, encrypted under a passphrase: Argon2id, then XChaCha20-Poly1305.
    pub(super) struct PassphraseWrap {
        /// Argon2id's salt.
        1 => salt: Octets<16>,
        /// Its memory, KiB.
        2 => memory: u32,
        /// Its passes.
        3 => passes: u32,
        /// Its lanes.
        4 => lanes: u32,
        /// The nonce.
        5 => nonce: Octets<24>,
        /// The encrypted key with its tag.
        6 => wrapped: Octets<48>,
    }
}

record! {
    /// The key lies in a file of its own.
    pub(super) struct KeyFileWrap {
        /// [`key_check`](super::key::key_check) of the key.
        1 => check: Octets<8>,
    }
}

choice! {
    /// How the key is got.
    pub(super) enum KeyWrap {
        /// From the keyring.
        1 => Keyring(KeyringWrap),
        /// From a passphrase.
        2 => Passphrase(PassphraseWrap),
        /// From a file.
        3 => KeyFile(KeyFileWrap),
    }
}

/// Writes the header, durably.
pub(super) fn write(path: &Path, wrap: &KeyWrap) -> Result<(), VaultError> {
    let mut content = FIRST_LINE.to_vec();
    content.extend_from_slice(&wrap.to_cbor());
    content.extend_from_slice(&sha256(&content));
    write_whole(path, &content)
}

/// Reads the header.
pub(super) fn read(path: &Path) -> Result<KeyWrap, VaultError> {
    let content = read_bounded(path, MAX_HEADER).map_err(failed("read", path))?;
    let damaged = |why: &str| VaultError::HeaderDamaged { path: path.to_owned(), why: why.to_owned() };
    let Some((body, checksum)) = content.split_last_chunk::<32>() else {
        return Err(damaged("it is too short"));
    };
    if sha256(body) != *checksum {
        return Err(damaged("its checksum does not hold"));
    }
    match body.strip_prefix(FIRST_LINE) {
        Some(record) => KeyWrap::from_cbor(record).map_err(|fault| damaged(&fault.to_string())),
        None if body.starts_with(MAGIC) => Err(VaultError::Newer { path: path.to_owned() }),
        None => Err(damaged("it is no header of a vault")),
    }
}
