//! The vault's key: 32 random bytes, and the three ways to get them.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use posthouse_crypto::sha256;
use posthouse_spec::cbor::{Octets, Text};
use posthouse_spec::labels;
use zeroize::Zeroizing;

use super::file::{failed, open_private, read_bounded};
use super::header::{KeyFileWrap, KeyWrap, KeyringWrap, PassphraseWrap};
use crate::error::VaultError;
use crate::profile::Unlock;

/// The key.
pub(super) type VaultKey = Zeroizing<[u8; 32]>;

/// Argon2id's memory for a new vault, KiB: 64 MiB (RFC 9106, section 4, second choice).
const MEMORY_KIB: u32 = 64 * 1024;
/// Its passes.
const PASSES: u32 = 3;
/// Its lanes.
const LANES: u32 = 4;
/// The most memory that a header may ask for, KiB: 1 GiB.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// The most passes that a header may ask for.
const MAX_PASSES: u32 = 64;
/// The most lanes that a header may ask for.
const MAX_LANES: u32 = 64;
/// Under which name the keyring keeps our entries.
const KEYRING_SERVICE: &str = "posthouse";
/// Largest key file that is read, bytes: 64 hexadecimal digits and white space.
const MAX_KEY_FILE: u64 = 1024;

/// What tells a wrong key from a damaged vault; 8 bytes say nothing of a random key.
pub(super) fn key_check(key: &VaultKey) -> [u8; 8] {
    let mut input = Zeroizing::new(labels::VAULT_KEY.as_bytes().to_vec());
    input.extend_from_slice(key.as_slice());
    let hash = sha256(&input);
    std::array::from_fn(|i| hash[i])
}

/// Makes a key for a new vault, and says how it will be got again. A key file that is there already is used.
pub(super) fn make(unlock: &Unlock) -> Result<(VaultKey, KeyWrap), VaultError> {
    match unlock {
        Unlock::Keyring => {
            let key = VaultKey::new(rand::random());
            let entry = format!("vault-{}", hex::encode(rand::random::<[u8; 8]>()));
            let text = Zeroizing::new(hex::encode(key.as_slice()));
            let keyring = |error: keyring::Error| VaultError::NoKeyring(error.to_string());
            keyring::Entry::new(KEYRING_SERVICE, &entry)
                .and_then(|e| e.set_password(&text))
                .map_err(keyring)?;
            let check = octets(&key_check(&key))?;
            Ok((key, KeyWrap::Keyring(KeyringWrap { entry: Text::clipped(&entry), check })))
        }
        Unlock::Passphrase(passphrase) => {
            let key = VaultKey::new(rand::random());
            let wrap = wrap(&key, passphrase)?;
            Ok((key, KeyWrap::Passphrase(wrap)))
        }
        Unlock::KeyFile(path) => {
            let key = if path.exists() { read_key_file(path)? } else { write_key_file(path)? };
            let check = octets(&key_check(&key))?;
            Ok((key, KeyWrap::KeyFile(KeyFileWrap { check })))
        }
    }
}

/// Gets the key of a vault that exists.
pub(super) fn get(unlock: &Unlock, wrap: &KeyWrap) -> Result<VaultKey, VaultError> {
    match (unlock, wrap) {
        (Unlock::Keyring, KeyWrap::Keyring(wrap)) => from_keyring(wrap),
        (Unlock::Passphrase(passphrase), KeyWrap::Passphrase(wrap)) => unwrap(wrap, passphrase),
        (Unlock::KeyFile(path), KeyWrap::KeyFile(wrap)) => {
            let key = read_key_file(path)?;
            if key_check(&key) == *wrap.check { Ok(key) } else { Err(VaultError::WrongKey(path.clone())) }
        }
        (_, KeyWrap::Keyring(_)) => Err(VaultError::OtherUnlock("the operating system's keyring")),
        (_, KeyWrap::Passphrase(_)) => Err(VaultError::OtherUnlock("a passphrase")),
        (_, KeyWrap::KeyFile(_)) => Err(VaultError::OtherUnlock("a key file (--key-file)")),
    }
}

fn octets<const MAX: usize>(bytes: &[u8]) -> Result<Octets<MAX>, VaultError> {
    Octets::new(bytes.to_vec()).map_err(|fault| VaultError::Derive(fault.to_string()))
}

fn from_keyring(wrap: &KeyringWrap) -> Result<VaultKey, VaultError> {
    let entry = wrap.entry.as_str();
    let missing = |why: &str| VaultError::KeyringEntry(why.to_owned(), format!("{KEYRING_SERVICE}/{entry}"));
    let text = keyring::Entry::new(KEYRING_SERVICE, entry)
        .map_err(|error| VaultError::NoKeyring(error.to_string()))?
        .get_password()
        .map(Zeroizing::new)
        .map_err(|error| missing(&error.to_string()))?;
    let key = parse_hex(&text).ok_or_else(|| missing("it holds something else"))?;
    if key_check(&key) == *wrap.check { Ok(key) } else { Err(missing("it holds another key")) }
}

fn parse_hex(text: &str) -> Option<VaultKey> {
    let mut key = VaultKey::new([0; 32]);
    hex::decode_to_slice(text.trim(), key.as_mut_slice()).ok()?;
    Some(key)
}

fn write_key_file(path: &Path) -> Result<VaultKey, VaultError> {
    use std::io::Write as _;
    let key = VaultKey::new(rand::random());
    let text = Zeroizing::new(format!("{}\n", hex::encode(key.as_slice())));
    let mut file = open_private(path, true).map_err(failed("make the key file", path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed("write the key file", path))?;
    Ok(key)
}

fn read_key_file(path: &Path) -> Result<VaultKey, VaultError> {
    let unreadable = |why: String| VaultError::KeyFile { path: path.to_owned(), why };
    refuse_exposed(path).map_err(|error| match error {
        Exposed::Io(error) => unreadable(error.to_string()),
        Exposed::Mode(mode) => VaultError::KeyFileExposed { path: path.to_owned(), mode },
    })?;
    let content = Zeroizing::new(read_bounded(path, MAX_KEY_FILE).map_err(|e| unreadable(e.to_string()))?);
    std::str::from_utf8(&content)
        .ok()
        .and_then(parse_hex)
        .ok_or_else(|| unreadable("a key file holds 64 hexadecimal digits".to_owned()))
}

enum Exposed {
    Io(std::io::Error),
    Mode(u32),
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), Exposed> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_err(Exposed::Io)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Exposed::Mode(mode)) }
}

#[cfg(not(unix))]
fn refuse_exposed(path: &Path) -> Result<(), Exposed> {
    std::fs::metadata(path).map(drop).map_err(Exposed::Io)
}

fn wrap(key: &VaultKey, passphrase: &str) -> Result<PassphraseWrap, VaultError> {
    let salt: [u8; 16] = rand::random();
    let nonce: [u8; 24] = rand::random();
    let kek = derive(passphrase, &salt, MEMORY_KIB, PASSES, LANES)?;
    let wrapped = cipher(&kek)
        .encrypt(&XNonce::from(nonce), Payload { msg: key.as_slice(), aad: labels::VAULT_KEY.as_bytes() })
        .map_err(|_| VaultError::Derive("the key cannot be wrapped".to_owned()))?;
    Ok(PassphraseWrap {
        salt: octets(&salt)?,
        memory: MEMORY_KIB,
        passes: PASSES,
        lanes: LANES,
        nonce: octets(&nonce)?,
        wrapped: octets(&wrapped)?,
    })
}

fn unwrap(wrap: &PassphraseWrap, passphrase: &str) -> Result<VaultKey, VaultError> {
    if wrap.memory > MAX_MEMORY_KIB || wrap.passes > MAX_PASSES || wrap.lanes > MAX_LANES {
        return Err(VaultError::Derive(
            "the header asks for more memory or time than any vault needs".to_owned(),
        ));
    }
    let nonce: [u8; 24] =
        (*wrap.nonce).try_into().map_err(|_| VaultError::Derive("the header's nonce is cut".to_owned()))?;
    let kek = derive(passphrase, &wrap.salt, wrap.memory, wrap.passes, wrap.lanes)?;
    let opened = cipher(&kek)
        .decrypt(&XNonce::from(nonce), Payload { msg: &wrap.wrapped, aad: labels::VAULT_KEY.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| VaultError::WrongPassphrase)?;
    let mut key = VaultKey::new([0; 32]);
    if opened.len() != key.len() {
        return Err(VaultError::WrongPassphrase);
    }
    key.copy_from_slice(&opened);
    Ok(key)
}

fn derive(
    passphrase: &str,
    salt: &[u8],
    memory: u32,
    passes: u32,
    lanes: u32,
) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let fault = |error: argon2::Error| VaultError::Derive(error.to_string());
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(fault)?;
    let mut kek = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, kek.as_mut_slice())
        .map_err(fault)?;
    Ok(kek)
}

fn cipher(kek: &Zeroizing<[u8; 32]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(**kek).into())
}
