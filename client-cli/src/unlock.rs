//! How the vault's key is got: a key file or a passphrase where one is given, else the keyring, else a question.

use std::io::{ErrorKind, IsTerminal as _, stdin};

use posthouse_client::{Client, ClientError, Profile, Unlock, VaultError};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::failure::{Exit, Failure};

/// Holds the passphrase where nobody can be asked.
const PASSPHRASE_VARIABLE: &str = "POSTHOUSE_PASSPHRASE";

/// What the command line or the environment gives.
pub(crate) fn given(global: &Global) -> Option<Unlock> {
    if let Some(file) = &global.key_file {
        return Some(Unlock::KeyFile(file.clone()));
    }
    let passphrase = std::env::var(PASSPHRASE_VARIABLE).ok().filter(|passphrase| !passphrase.is_empty())?;
    Some(Unlock::Passphrase(Zeroizing::new(passphrase)))
}

/// Opens the vault; `known` keeps a passphrase that was asked for, for another attempt.
///
/// # Errors
/// What the vault says, or that nobody can be asked.
pub(crate) async fn open(profile: &Profile, known: &mut Option<Unlock>) -> Result<Client, Failure> {
    if let Some(unlock) = known {
        return Ok(Client::open(profile, unlock.clone()).await?);
    }
    match Client::open(profile, Unlock::Keyring).await {
        Err(ClientError::Vault(VaultError::OtherUnlock(_))) => {
            let unlock = known.insert(ask()?);
            Ok(Client::open(profile, unlock.clone()).await?)
        }
        other => Ok(other?),
    }
}

/// Asks for the passphrase of a vault.
///
/// # Errors
/// There is no terminal.
pub(crate) fn ask() -> Result<Unlock, Failure> {
    Ok(Unlock::Passphrase(prompt("Passphrase of the vault: ")?))
}

/// Asks for a passphrase for a new vault, twice.
///
/// # Errors
/// There is no terminal, nothing was typed, or not the same twice.
pub(crate) fn choose() -> Result<Unlock, Failure> {
    let first = prompt("Choose a passphrase for the vault: ")?;
    if first.is_empty() {
        return Err(Failure::usage(
            "no-passphrase",
            "the passphrase is empty: choose one that nobody guesses",
        ));
    }
    if *prompt("Again: ")? != *first {
        return Err(Failure::usage(
            "passphrases-differ",
            "the two passphrases differ: nothing was made, try again",
        ));
    }
    Ok(Unlock::Passphrase(first))
}

fn prompt(question: &str) -> Result<Zeroizing<String>, Failure> {
    let nobody = || {
        let message = format!(
            "the vault needs a passphrase, and there is no terminal to ask at: set {PASSPHRASE_VARIABLE}, or use --key-file"
        );
        Failure::new(Exit::Vault, "no-passphrase", message)
    };
    if !stdin().is_terminal() {
        return Err(nobody());
    }
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(|error| match error.kind() {
        ErrorKind::Interrupted | ErrorKind::UnexpectedEof => {
            let message = "no passphrase was typed: nothing was done";
            Failure::new(Exit::Interrupted, "interrupted", message)
        }
        _ => nobody(),
    })
}
