//! How long conversations are kept, and deleting what is older.
//!
//! A conversation is named by the account with whom it is, or else by its room. What still waits to be sent is never too
//! old. A message counts by the later of the times at which it was sent and at which it came, so that a sender's clock
//! that is wrong deletes nothing.

use posthouse_spec::{AccountId, Millis, RoomId};
use sqlx::sqlite::SqliteConnection;

use super::columns::{int, number};
use crate::error::VaultError;

/// A day, milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;
/// Messages that are deleted with one transaction.
pub(crate) const BATCH: u32 = 256;

/// Which conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// With an account, in all direct rooms with it.
    Peer(AccountId),
    /// In a room that is with nobody in particular.
    Room(RoomId),
}

impl Kept {
    fn id(&self) -> &[u8] {
        match self {
            Self::Peer(peer) => peer.as_bytes().as_slice(),
            Self::Room(room) => room.as_bytes().as_slice(),
        }
    }
}

/// For how many days a conversation is kept; `None` is for ever.
pub(crate) async fn of(db: &mut SqliteConnection, kept: &Kept) -> Result<Option<u64>, VaultError> {
    sqlx::query("SELECT days FROM retention WHERE conversation = ?")
        .bind(kept.id())
        .fetch_optional(db)
        .await?
        .map(|row| number(&row, "days"))
        .transpose()
}

/// Sets for how many days it is kept.
pub(crate) async fn set(db: &mut SqliteConnection, kept: &Kept, days: Option<u64>) -> Result<(), VaultError> {
    match days {
        Some(days) => {
            sqlx::query(
                "INSERT INTO retention (conversation, days) VALUES (?, ?)
                 ON CONFLICT (conversation) DO UPDATE SET days = excluded.days",
            )
            .bind(kept.id())
            .bind(int(days))
            .execute(db)
            .await?;
        }
        None => {
            sqlx::query("DELETE FROM retention WHERE conversation = ?").bind(kept.id()).execute(db).await?;
        }
    }
    Ok(())
}

/// Deletes one batch of what is too old; returns how many that were.
pub(crate) async fn delete_batch(db: &mut SqliteConnection, now: Millis) -> Result<u64, VaultError> {
    let rules = sqlx::query("SELECT conversation, days FROM retention").fetch_all(&mut *db).await?;
    let mut deleted = 0;
    for rule in &rules {
        let cut = now.0.saturating_sub(number(rule, "days")?.saturating_mul(DAY));
        let room = u64::from(BATCH).saturating_sub(deleted);
        let done = sqlx::query(
            "DELETE FROM messages WHERE local IN (
                 SELECT local FROM messages
                 WHERE ((peer = ?1 AND sent < ?2) OR (room = ?1 AND peer IS NULL AND sent < ?2)
                     OR (peer IS NULL AND sent < ?2 AND to_alias = (SELECT alias FROM contacts WHERE account = ?1)))
                     AND coalesce(received, 0) < ?2
                     AND local NOT IN (SELECT local FROM intents UNION ALL SELECT local FROM outbox)
                 LIMIT ?3)",
        )
        .bind(sqlx::Row::try_get::<&[u8], _>(rule, "conversation")?)
        .bind(int(cut))
        .bind(int(room))
        .execute(&mut *db)
        .await?;
        deleted += done.rows_affected();
        if deleted >= u64::from(BATCH) {
            break;
        }
    }
    Ok(deleted)
}
