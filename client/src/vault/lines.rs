//! Lines that are no texts: what happened in a room, and what members' clients say to each other, which nobody is shown.

use posthouse_spec::{AccountId, MessageId, Millis, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{int, number};
use crate::error::VaultError;
use crate::group::{MessageKind, RoomNews};

/// What happened, of a row of messages.
pub(crate) fn news(row: &SqliteRow) -> Result<Option<RoomNews>, VaultError> {
    let json = row.try_get::<Option<&str>, _>("news")?;
    json.map(serde_json::from_str)
        .transpose()
        .map_err(|error| VaultError::Content(format!("a line of a room: {error}")))
}

/// Something that happened in a room.
pub(crate) struct Line<'a> {
    /// The room.
    pub(crate) room: &'a RoomId,
    /// Who did it.
    pub(crate) by: Option<&'a AccountId>,
    /// Whether this account did it.
    pub(crate) own: bool,
    /// What happened.
    pub(crate) news: &'a RoomNews,
    /// In words.
    pub(crate) text: &'a str,
}

/// Stores a line; returns its place.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    line: &Line<'_>,
    now: Millis,
) -> Result<u64, VaultError> {
    let news = serde_json::to_string(line.news)
        .map_err(|error| VaultError::Content(format!("a line of a room: {error}")))?;
    let row = sqlx::query(
        "INSERT INTO messages (room, account, outgoing, sent, received, text, state, kind, news)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING local",
    )
    .bind(line.room.as_bytes().as_slice())
    .bind(line.by.map(|by| by.as_bytes().as_slice()))
    .bind(line.own)
    .bind(int(now.0))
    .bind(int(now.0))
    .bind(line.text)
    .bind(if line.own { "accepted" } else { "received" })
    .bind(MessageKind::Room.name())
    .bind(news)
    .fetch_one(db)
    .await?;
    number(&row, "local")
}

/// The lines that name an account.
pub(crate) async fn naming(
    db: &mut SqliteConnection,
    account: &AccountId,
) -> Result<Vec<(u64, RoomNews)>, VaultError> {
    let rows = sqlx::query(
        "SELECT local, news FROM messages WHERE news IS NOT NULL AND instr(news, ?) > 0 ORDER BY local",
    )
    .bind(account.to_string())
    .fetch_all(db)
    .await?;
    let mut lines = Vec::new();
    for row in &rows {
        if let Some(news) = news(row)? {
            lines.push((number(row, "local")?, news));
        }
    }
    Ok(lines)
}

/// Says a line in other words.
pub(crate) async fn set_text(db: &mut SqliteConnection, local: u64, text: &str) -> Result<(), VaultError> {
    sqlx::query("UPDATE messages SET text = ? WHERE local = ?")
        .bind(text)
        .bind(int(local))
        .execute(db)
        .await?;
    Ok(())
}

/// A text that waits to be sealed for a room; returns its place.
pub(crate) async fn insert_text(
    db: &mut SqliteConnection,
    room: &RoomId,
    author: &AccountId,
    text: &str,
    now: Millis,
) -> Result<u64, VaultError> {
    let row = sqlx::query(
        "INSERT INTO messages (room, account, outgoing, sent, text, state)
         VALUES (?, ?, 1, ?, ?, 'queued') RETURNING local",
    )
    .bind(room.as_bytes().as_slice())
    .bind(author.as_bytes().as_slice())
    .bind(int(now.0))
    .bind(text)
    .fetch_one(db)
    .await?;
    number(&row, "local")
}

/// Content that waits to be sealed for a room, and that is not shown; returns its place.
pub(crate) async fn insert_control(
    db: &mut SqliteConnection,
    room: &RoomId,
    author: &AccountId,
    content: &[u8],
    now: Millis,
) -> Result<u64, VaultError> {
    let row = sqlx::query(
        "INSERT INTO messages (room, account, outgoing, sent, content, state, kind)
         VALUES (?, ?, 1, ?, ?, 'queued', 'control') RETURNING local",
    )
    .bind(room.as_bytes().as_slice())
    .bind(author.as_bytes().as_slice())
    .bind(int(now.0))
    .bind(content)
    .fetch_one(db)
    .await?;
    number(&row, "local")
}

/// Content that came and is not shown.
pub(crate) struct Control<'a> {
    /// The room.
    pub(crate) room: &'a RoomId,
    /// Who sent it.
    pub(crate) account: &'a AccountId,
    /// Its id.
    pub(crate) id: &'a MessageId,
    /// When the relay took it.
    pub(crate) sent: Millis,
    /// The hash of the sealed body.
    pub(crate) body_hash: &'a [u8; 32],
}

/// Notes that it came; `false` where it had come before.
pub(crate) async fn note_control(
    db: &mut SqliteConnection,
    control: &Control<'_>,
    now: Millis,
) -> Result<bool, VaultError> {
    let done = sqlx::query(
        "INSERT INTO messages (room, account, id, outgoing, sent, received, state, kind, body_hash)
         VALUES (?, ?, ?, 0, ?, ?, 'received', 'control', ?) ON CONFLICT DO NOTHING",
    )
    .bind(control.room.as_bytes().as_slice())
    .bind(control.account.as_bytes().as_slice())
    .bind(control.id.as_bytes().as_slice())
    .bind(int(control.sent.0))
    .bind(int(now.0))
    .bind(control.body_hash.as_slice())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}
