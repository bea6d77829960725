//! Whose vault this is, and how far it has come with its relay.

use posthouse_crypto::{Account, SealSecret, SigningKey};
use posthouse_spec::account::{AliasBinding, AliasClaim, Chain};
use posthouse_spec::cbor::{Cbor as _, List};
use posthouse_spec::{Alias, Incarnation, MailboxSeq, Millis, Number, Signed};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use zeroize::Zeroizing;

use super::columns::{cbor, id, int, name, number, optional_number};
use crate::error::VaultError;

/// The account and device of this vault.
pub(crate) struct Owner {
    /// The alias.
    pub(crate) alias: Alias,
    /// Where the relay is.
    pub(crate) relay_url: String,
    /// The device's signing key.
    pub(crate) device: SigningKey,
    /// The device's X25519 key.
    pub(crate) seal: SealSecret,
    /// The 24 words, until they were shown.
    pub(crate) recovery: Option<Zeroizing<String>>,
    /// The account.
    pub(crate) account: Account,
    /// The claim of the alias.
    pub(crate) claim: Signed<AliasClaim>,
    /// One life of this vault's numbers.
    pub(crate) incarnation: Incarnation,
    /// When the relay confirmed the registration.
    pub(crate) registered: Option<Millis>,
    /// When the vault was brought back from a backup: its device is not enrolled since.
    pub(crate) restored: Option<Millis>,
}

/// How far the vault has come with its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positions {
    /// The last number that was given to a submit.
    pub(crate) last_number: Number,
    /// The last mailbox position that is in the vault.
    pub(crate) cursor: MailboxSeq,
}

/// Stores a new owner, before the relay knows of them.
pub(crate) async fn insert(db: &mut SqliteConnection, owner: &Owner, now: Millis) -> Result<(), VaultError> {
    let chain: Chain = List::new(owner.account.chain().to_vec())
        .map_err(|fault| VaultError::Content(format!("the own chain: {fault}")))?;
    sqlx::query(
        "INSERT INTO owner (one, alias, relay_url, device_seed, seal_secret, recovery, chain, claim, incarnation, created)
         VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(owner.alias.to_string())
    .bind(&owner.relay_url)
    .bind(owner.device.seed().as_slice())
    .bind(owner.seal.to_bytes().as_slice())
    .bind(owner.recovery.as_ref().map(|words| words.as_str()))
    .bind(chain.to_cbor())
    .bind(owner.claim.to_cbor())
    .bind(owner.incarnation.as_bytes().as_slice())
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}

/// The owner, if there is one.
pub(crate) async fn load(db: &mut SqliteConnection) -> Result<Option<Owner>, VaultError> {
    let Some(row) = sqlx::query("SELECT * FROM owner").fetch_optional(db).await? else { return Ok(None) };
    let key = |column: &str| -> Result<Zeroizing<[u8; 32]>, VaultError> {
        id(&row, column, |bytes| bytes.try_into().ok().map(Zeroizing::new))
    };
    let chain: Chain = cbor(&row, "chain")?;
    let account =
        Account::validate(&chain).map_err(|fault| VaultError::Content(format!("the own chain: {fault}")))?;
    let (device_seed, seal_secret) = (key("device_seed")?, key("seal_secret")?);
    Ok(Some(Owner {
        alias: name(&row, "alias")?,
        relay_url: row.try_get("relay_url")?,
        device: SigningKey::from_seed(&device_seed),
        seal: SealSecret::from_bytes(*seal_secret),
        recovery: row.try_get::<Option<String>, _>("recovery")?.map(Zeroizing::new),
        account,
        claim: cbor(&row, "claim")?,
        incarnation: id(&row, "incarnation", Incarnation::from_slice)?,
        registered: optional_number(&row, "registered")?.map(Millis),
        restored: optional_number(&row, "restored")?.map(Millis),
    }))
}

/// The relay confirmed the registration.
pub(crate) async fn confirm(
    db: &mut SqliteConnection,
    binding: &Signed<AliasBinding>,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE owner SET binding = ?, registered = ?")
        .bind(binding.to_cbor())
        .bind(int(now.0))
        .execute(db)
        .await?;
    Ok(())
}

/// The relay never took the registration, and never will.
pub(crate) async fn forget(db: &mut SqliteConnection) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM owner WHERE registered IS NULL").execute(db).await?;
    Ok(())
}

/// The relay is somewhere else.
pub(crate) async fn set_relay_url(db: &mut SqliteConnection, url: &str) -> Result<(), VaultError> {
    sqlx::query("UPDATE owner SET relay_url = ?").bind(url).execute(db).await?;
    Ok(())
}

/// The recovery code was shown.
pub(crate) async fn erase_recovery(db: &mut SqliteConnection) -> Result<(), VaultError> {
    sqlx::query("UPDATE owner SET recovery = NULL").execute(db).await?;
    Ok(())
}

/// How far the vault has come.
pub(crate) async fn positions(db: &mut SqliteConnection) -> Result<Positions, VaultError> {
    let row = sqlx::query("SELECT last_number, cursor FROM owner").fetch_one(db).await?;
    Ok(Positions {
        last_number: Number(number(&row, "last_number")?),
        cursor: MailboxSeq(number(&row, "cursor")?),
    })
}

/// Everything up to this mailbox position is in the vault.
pub(crate) async fn set_cursor(db: &mut SqliteConnection, cursor: MailboxSeq) -> Result<(), VaultError> {
    sqlx::query("UPDATE owner SET cursor = ?").bind(int(cursor.0)).execute(db).await?;
    Ok(())
}

/// The last number that is given to a submit.
pub(crate) async fn set_last_number(db: &mut SqliteConnection, last: Number) -> Result<(), VaultError> {
    sqlx::query("UPDATE owner SET last_number = ?").bind(int(last.0)).execute(db).await?;
    Ok(())
}
