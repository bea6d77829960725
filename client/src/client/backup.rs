//! Backups of the vault: writing, checking, and bringing one back.

use std::path::Path;

use super::Client;
use crate::backup::Report;
use crate::backup::read::{self, Found, Opened};
use crate::backup::write::{self, Keys};
use crate::clock;
use crate::error::ClientError;
use crate::history::error::HistoryError;
use crate::profile::{Profile, Unlock};
use crate::vault::scratch::Scratch;
use crate::vault::{Vault, backup_key, owner, tables};

impl Client {
    /// Writes a backup: as a whole, readable by its owner only, in place of an older one of this account, and never in
    /// place of anything else.
    ///
    /// # Errors
    /// The backup key is not known ([`Client::learn_words`] tells it), another file stands there, or it cannot be written.
    pub async fn create_backup(&self, path: &Path) -> Result<Report, ClientError> {
        let owner = &self.0.owner;
        if path.exists() {
            match Found::at(path) {
                Ok(found) if found.account() == owner.account.id() => {}
                _ => return Err(HistoryError::NotOurs(path.to_owned()).into()),
            }
        }
        // One turn for all of it, so that it shows the vault as it was at one time.
        let mut reader = self.0.vault.read().await?;
        let db = reader.db()?;
        let backup = backup_key::of(db, &owner.account.recovery()).await?.ok_or(HistoryError::NoBackupKey)?;
        let keys = Keys { backup: &backup, vault: self.0.vault.key() };
        write::write(db, owner, keys, path, clock::now()).await
    }

    /// Learns from the 24 words to which key backups are sealed. Only the public half is kept.
    ///
    /// # Errors
    /// They are no recovery code, or another account's.
    pub async fn learn_words(&self, words: &str) -> Result<(), ClientError> {
        let owner = &self.0.owner;
        let code = read::words(words, &owner.account.recovery(), &owner.alias)?;
        let mut tx = self.0.vault.begin().await?;
        backup_key::put(tx.db()?, &code).await?;
        Ok(tx.commit().await?)
    }

    /// Proves that a backup of this vault restores: opens all of it, brings it back into a vault that is thrown away, and
    /// compares.
    ///
    /// # Errors
    /// It is damaged, another vault wrote it, or what the vault says.
    pub async fn verify_backup(&self, path: &Path) -> Result<Report, ClientError> {
        try_out(Found::at(path)?.open_with_vault(self.0.vault.key())?).await
    }

    /// The same with the 24 words, and without a vault.
    ///
    /// # Errors
    /// It is damaged, or the words are not its account's.
    pub async fn verify_backup_with_words(path: &Path, words: &str) -> Result<Report, ClientError> {
        try_out(Found::at(path)?.open_with_words(words)?).await
    }

    /// Brings a backup back into an empty profile. What comes back is the history; its device is not enrolled, and only
    /// reads.
    ///
    /// # Errors
    /// The profile has a vault, the backup is damaged, the words are not its account's, or what the vault says.
    pub async fn restore_backup(
        profile: &Profile,
        unlock: Unlock,
        path: &Path,
        words: &str,
    ) -> Result<Report, ClientError> {
        // All of it is opened before anything is made.
        Found::at(path)?.open_with_words(words)?.pass_over()?;
        let vault = Vault::create(profile, &unlock).await?;
        let restored = restore_into(&vault, path, words).await;
        vault.close().await?;
        restored
    }
}

async fn restore_into(vault: &Vault, path: &Path, words: &str) -> Result<Report, ClientError> {
    let mut tx = vault.begin().await?;
    let db = tx.db()?;
    if owner::load(&mut *db).await?.is_some() {
        return Err(HistoryError::HasVault.into());
    }
    let report = Found::at(path)?.open_with_words(words)?.load(&mut *db, clock::now()).await?;
    tables::settle(db, clock::now()).await?;
    tx.commit().await?;
    Ok(report)
}

async fn try_out(opened: Opened) -> Result<Report, ClientError> {
    let mut scratch = Scratch::make().await?;
    let report = opened.load(scratch.db(), clock::now()).await;
    scratch.close().await?;
    report
}
