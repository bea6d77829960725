//! Accounts whose chains are asked for, because they are in a room with this device.

use posthouse_spec::{AccountId, Domain};
use sqlx::sqlite::SqliteConnection;

use super::columns::{id, name};
use crate::error::VaultError;

/// An account whose chain is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The account.
    pub(crate) account: AccountId,
    /// The relay that their device names.
    pub(crate) home: Domain,
}

/// Asks for a chain.
pub(crate) async fn want(
    db: &mut SqliteConnection,
    account: &AccountId,
    home: &Domain,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO wanted_chains (account, home) VALUES (?, ?)
         ON CONFLICT (account) DO UPDATE SET home = excluded.home",
    )
    .bind(account.as_bytes().as_slice())
    .bind(home.as_str())
    .execute(db)
    .await?;
    Ok(())
}

/// All that are asked for.
pub(crate) async fn all(db: &mut SqliteConnection) -> Result<Vec<Wanted>, VaultError> {
    let rows = sqlx::query("SELECT * FROM wanted_chains ORDER BY account").fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(Wanted { account: id(row, "account", AccountId::from_slice)?, home: name(row, "home")? })
        })
        .collect()
}

/// Says why it is not here yet.
pub(crate) async fn set_reason(
    db: &mut SqliteConnection,
    account: &AccountId,
    reason: &str,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE wanted_chains SET reason = ? WHERE account = ?")
        .bind(reason)
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// It is here, or cannot be had.
pub(crate) async fn remove(db: &mut SqliteConnection, account: &AccountId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM wanted_chains WHERE account = ?")
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}
