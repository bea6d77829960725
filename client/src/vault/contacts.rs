//! People: who stands behind an alias, and whether they may write.

use posthouse_crypto::{Account, KnownAccount};
use posthouse_spec::account::Chain;
use posthouse_spec::cbor::{Cbor as _, List};
use posthouse_spec::{AccountId, Alias, ChainSeq, Millis};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{cbor, id, int, number, optional_name};
use crate::error::VaultError;

/// Whether somebody may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Looked up or asking; no consent was given.
    Known,
    /// Accepted, or written to.
    Contact,
    /// Blocked.
    Blocked,
}

fn standing(row: &SqliteRow) -> Result<Standing, VaultError> {
    Ok(if number(row, "blocked")? == 1 {
        Standing::Blocked
    } else if number(row, "consent")? == 1 {
        Standing::Contact
    } else {
        Standing::Known
    })
}

/// Somebody.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    /// The alias that is pinned to them.
    pub(crate) alias: Option<Alias>,
    /// Their account.
    pub(crate) account: Account,
    /// Whether they may write.
    pub(crate) standing: Standing,
}

fn read(row: &SqliteRow) -> Result<Contact, VaultError> {
    Ok(Contact { alias: optional_name(row, "alias")?, account: read_account(row)?, standing: standing(row)? })
}

fn read_account(row: &SqliteRow) -> Result<Account, VaultError> {
    let chain: Chain = cbor(row, "chain")?;
    Account::validate(&chain).map_err(|fault| VaultError::Content(format!("the chain of a contact: {fault}")))
}

fn chain_bytes(account: &Account) -> Result<Vec<u8>, VaultError> {
    let chain: Chain = List::new(account.chain().to_vec())
        .map_err(|fault| VaultError::Content(format!("the chain of a contact: {fault}")))?;
    Ok(chain.to_cbor())
}

/// Who the alias is pinned to.
pub(crate) async fn by_alias(
    db: &mut SqliteConnection,
    alias: &Alias,
) -> Result<Option<Contact>, VaultError> {
    sqlx::query("SELECT c.*, coalesce(b.blocked, 0) AS blocked FROM contacts c LEFT JOIN blocks b ON b.account = c.account
         WHERE c.alias = ?",
    )
        .bind(alias.to_string())
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// Who has this account.
pub(crate) async fn by_account(
    db: &mut SqliteConnection,
    account: &AccountId,
) -> Result<Option<Contact>, VaultError> {
    sqlx::query("SELECT c.*, coalesce(b.blocked, 0) AS blocked FROM contacts c LEFT JOIN blocks b ON b.account = c.account
         WHERE c.account = ?",
    )
        .bind(account.as_bytes().as_slice())
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// The alias of an account, and whether they may write, without checking their chain again.
pub(crate) async fn glance(
    db: &mut SqliteConnection,
    account: &AccountId,
) -> Result<(Option<Alias>, Standing), VaultError> {
    let row = sqlx::query(
        "SELECT (SELECT alias FROM contacts WHERE account = ?1) AS alias,
             coalesce((SELECT consent FROM contacts WHERE account = ?1), 0) AS consent,
             coalesce((SELECT blocked FROM blocks WHERE account = ?1), 0) AS blocked",
    )
    .bind(account.as_bytes().as_slice())
    .fetch_one(db)
    .await?;
    Ok((optional_name(&row, "alias")?, standing(&row)?))
}

/// Keeps what was verified of somebody; a chain only ever grows. Whether they may write
/// is kept; a new one may not. The alias must be free or theirs.
pub(crate) async fn learn(
    db: &mut SqliteConnection,
    known: &KnownAccount,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO contacts (account, alias, chain, bound, added) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (account) DO UPDATE SET alias = excluded.alias, bound = excluded.bound,
             chain = CASE WHEN length(excluded.chain) >= length(chain) THEN excluded.chain ELSE chain END",
    )
    .bind(known.account.id().as_bytes().as_slice())
    .bind(known.alias.to_string())
    .bind(chain_bytes(&known.account)?)
    .bind(int(known.bound.0))
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps what was verified of somebody whose alias is pinned to another account: they have none here.
pub(crate) async fn learn_without_alias(
    db: &mut SqliteConnection,
    known: &KnownAccount,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO contacts (account, chain, bound, added) VALUES (?, ?, ?, ?)
         ON CONFLICT (account) DO UPDATE SET
             chain = CASE WHEN length(excluded.chain) >= length(chain) THEN excluded.chain ELSE chain END",
    )
    .bind(known.account.id().as_bytes().as_slice())
    .bind(chain_bytes(&known.account)?)
    .bind(int(known.bound.0))
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}

/// The position of the last event of somebody's chain as it is known here, without checking the chain again.
pub(crate) async fn seq(
    db: &mut SqliteConnection,
    account: &AccountId,
) -> Result<Option<ChainSeq>, VaultError> {
    let row = sqlx::query("SELECT chain FROM contacts WHERE account = ?")
        .bind(account.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let chain: Chain = cbor(&row, "chain")?;
    Ok(Some(ChainSeq((chain.len() as u64).saturating_sub(1))))
}

/// They may write.
pub(crate) async fn consent(db: &mut SqliteConnection, account: &AccountId) -> Result<(), VaultError> {
    sqlx::query("UPDATE contacts SET consent = 1 WHERE account = ?")
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Blocks somebody, or no longer; the relay is to be told.
pub(crate) async fn set_blocked(
    db: &mut SqliteConnection,
    account: &AccountId,
    blocked: bool,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO blocks (account, blocked, told) VALUES (?, ?, 0)
         ON CONFLICT (account) DO UPDATE SET blocked = excluded.blocked, told = 0",
    )
    .bind(account.as_bytes().as_slice())
    .bind(blocked)
    .execute(db)
    .await?;
    Ok(())
}

/// Whose blocking the relay has not heard of, and whether they are blocked now.
pub(crate) async fn untold(db: &mut SqliteConnection) -> Result<Vec<(AccountId, bool)>, VaultError> {
    let rows = sqlx::query("SELECT account, blocked FROM blocks WHERE told = 0").fetch_all(db).await?;
    rows.iter()
        .map(|row| Ok((id(row, "account", AccountId::from_slice)?, number(row, "blocked")? == 1)))
        .collect()
}

/// The relay heard that somebody is blocked, or no longer; nothing changes if it is otherwise by now.
pub(crate) async fn set_told(
    db: &mut SqliteConnection,
    account: &AccountId,
    blocked: bool,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE blocks SET told = 1 WHERE account = ? AND blocked = ?")
        .bind(account.as_bytes().as_slice())
        .bind(blocked)
        .execute(db)
        .await?;
    Ok(())
}

/// Notes that an alias now stands for another account than the pinned one.
pub(crate) async fn put_newcomer(
    db: &mut SqliteConnection,
    known: &KnownAccount,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO newcomers (alias, account, chain, bound, seen) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (alias) DO UPDATE SET account = excluded.account, chain = excluded.chain,
             bound = excluded.bound, seen = excluded.seen",
    )
    .bind(known.alias.to_string())
    .bind(known.account.id().as_bytes().as_slice())
    .bind(chain_bytes(&known.account)?)
    .bind(int(known.bound.0))
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}

/// Who the alias now stands for, where that is another account than the pinned one.
pub(crate) async fn newcomer(
    db: &mut SqliteConnection,
    alias: &Alias,
) -> Result<Option<KnownAccount>, VaultError> {
    let row = sqlx::query("SELECT * FROM newcomers WHERE alias = ?")
        .bind(alias.to_string())
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        Ok(KnownAccount {
            alias: alias.clone(),
            account: read_account(&row)?,
            bound: Millis(number(&row, "bound")?),
        })
    })
    .transpose()
}

/// Pins the alias to the newcomer: whoever had it before keeps their account and history, without an alias.
pub(crate) async fn repin(
    db: &mut SqliteConnection,
    known: &KnownAccount,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE contacts SET alias = NULL WHERE alias = ?")
        .bind(known.alias.to_string())
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM newcomers WHERE alias = ?")
        .bind(known.alias.to_string())
        .execute(&mut *db)
        .await?;
    learn(db, known, now).await
}
