//! Own messages on their way: intents, which wait to be sealed, and the outbox, which holds what is sealed until the
//! relay has it.

use posthouse_spec::{AccountId, Alias, Epoch, Number, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{id, int, name, number, optional_id, optional_name};
use crate::error::VaultError;

/// An own message that can be sealed now.
pub(crate) struct Sealable {
    /// Its place.
    pub(crate) local: u64,
    /// Its room.
    pub(crate) room: RoomId,
    /// With whom.
    pub(crate) peer: Option<AccountId>,
    /// The text.
    pub(crate) text: String,
    /// What is in its seal: as it was before, if it is sealed again, or because it is no text.
    pub(crate) content: Option<Vec<u8>>,
    /// Whether it is shown to anybody.
    pub(crate) shown: bool,
}

/// A sealed message that the relay has not accepted.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// Its number.
    pub(crate) number: Number,
    /// Its room.
    pub(crate) room: RoomId,
    /// The epoch in which it is sealed.
    pub(crate) epoch: Epoch,
    /// The sealed bytes.
    pub(crate) body: Vec<u8>,
    /// Its place.
    pub(crate) local: u64,
}

/// Stores an intent for the room that the message names.
pub(crate) async fn intend_for_room(db: &mut SqliteConnection, local: u64) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO intents (local, alias) VALUES (?, '')").bind(int(local)).execute(db).await?;
    Ok(())
}

/// Stores an intent.
pub(crate) async fn intend(db: &mut SqliteConnection, local: u64, alias: &Alias) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO intents (local, alias) VALUES (?, ?)")
        .bind(int(local))
        .bind(alias.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// An intent was sealed, or given up.
pub(crate) async fn forget_intent(db: &mut SqliteConnection, local: u64) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM intents WHERE local = ?").bind(int(local)).execute(db).await?;
    Ok(())
}

/// Intents whose room can take them now, in order. One that names a room stays in it; the others go to the direct room
/// with the lowest id. To a room that was left goes nothing but the word of that.
pub(crate) async fn sealable(db: &mut SqliteConnection, limit: u32) -> Result<Vec<Sealable>, VaultError> {
    let rows = sqlx::query(
        "SELECT i.local AS local, m.text AS text, m.content AS content, m.kind <> 'control' AS shown,
             r.room AS room, r.peer AS peer
         FROM intents i
         JOIN messages m ON m.local = i.local
         LEFT JOIN contacts c ON c.alias = i.alias
         JOIN rooms r ON r.room = coalesce(m.room,
             (SELECT d.room FROM rooms d WHERE d.peer = c.account AND d.state = 'active' ORDER BY d.room LIMIT 1))
         WHERE (r.state = 'active' OR (r.state = 'left' AND m.kind = 'control')) AND (r.stale IS NULL OR r.epoch > r.stale)
         ORDER BY i.local LIMIT ?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Sealable {
                local: number(row, "local")?,
                room: id(row, "room", RoomId::from_slice)?,
                peer: optional_id(row, "peer", AccountId::from_slice)?,
                text: row.try_get::<Option<String>, _>("text")?.unwrap_or_default(),
                content: row.try_get("content")?,
                shown: number(row, "shown")? == 1,
            })
        })
        .collect()
}

/// Aliases for which intents wait without a room.
pub(crate) async fn without_room(db: &mut SqliteConnection) -> Result<Vec<Alias>, VaultError> {
    let rows = sqlx::query(
        "SELECT i.alias AS alias FROM intents i
         JOIN messages m ON m.local = i.local
         LEFT JOIN contacts c ON c.alias = i.alias
         WHERE m.room IS NULL
             AND NOT EXISTS (SELECT 1 FROM rooms d WHERE d.peer = c.account AND d.state = 'active')
         GROUP BY i.alias ORDER BY min(i.local)",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| name(row, "alias")).collect()
}

/// The intents for an alias that have no room, in order.
pub(crate) async fn intents_for(db: &mut SqliteConnection, alias: &Alias) -> Result<Vec<u64>, VaultError> {
    let rows = sqlx::query(
        "SELECT i.local AS local FROM intents i JOIN messages m ON m.local = i.local
         WHERE i.alias = ? AND m.room IS NULL ORDER BY i.local",
    )
    .bind(alias.to_string())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| number(row, "local")).collect()
}

/// Messages that wait to be sealed again for a room that cannot go on are freed from it: they go to the next room.
pub(crate) async fn free_from_broken(db: &mut SqliteConnection) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE messages SET room = NULL, id = NULL, content = NULL
         WHERE local IN (SELECT local FROM intents) AND room IN (SELECT room FROM rooms WHERE state = 'broken' AND peer IS NOT NULL)",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The intents for a room, in order.
pub(crate) async fn intents_of_room(
    db: &mut SqliteConnection,
    room: &RoomId,
) -> Result<Vec<u64>, VaultError> {
    let rows = sqlx::query(
        "SELECT i.local AS local FROM intents i JOIN messages m ON m.local = i.local WHERE m.room = ? ORDER BY i.local",
    )
    .bind(room.as_bytes().as_slice())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| number(row, "local")).collect()
}

/// Whether anything of ours waits in a room, or is on its way to the relay.
pub(crate) async fn waits_in(db: &mut SqliteConnection, room: &RoomId) -> Result<bool, VaultError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE room = ?1)
             OR EXISTS (SELECT 1 FROM intents i JOIN messages m ON m.local = i.local WHERE m.room = ?1)",
    )
    .bind(room.as_bytes().as_slice())
    .fetch_one(db)
    .await?)
}

/// Whether a message is shown to anybody.
pub(crate) async fn is_shown(db: &mut SqliteConnection, local: u64) -> Result<bool, VaultError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM messages WHERE local = ? AND kind <> 'control')")
        .bind(int(local))
        .fetch_one(db)
        .await?)
}

/// Says at all intents for an alias why they wait.
pub(crate) async fn set_waiting(
    db: &mut SqliteConnection,
    alias: &Alias,
    reason: Option<&str>,
) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE messages SET reason = ? WHERE state = 'queued' AND local IN (SELECT local FROM intents WHERE alias = ?)",
    )
    .bind(reason)
    .bind(alias.to_string())
    .execute(db)
    .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Outgoing, VaultError> {
    Ok(Outgoing {
        number: Number(number(row, "number")?),
        room: id(row, "room", RoomId::from_slice)?,
        epoch: Epoch(number(row, "epoch")?),
        body: row.try_get("body")?,
        local: number(row, "local")?,
    })
}

/// Stores a sealed message.
pub(crate) async fn push(db: &mut SqliteConnection, item: &Outgoing) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO outbox (number, room, epoch, body, local) VALUES (?, ?, ?, ?, ?)")
        .bind(int(item.number.0))
        .bind(item.room.as_bytes().as_slice())
        .bind(int(item.epoch.0))
        .bind(&item.body)
        .bind(int(item.local))
        .execute(db)
        .await?;
    Ok(())
}

/// Sealed messages behind a number, in order.
pub(crate) async fn behind(
    db: &mut SqliteConnection,
    after: Number,
    limit: u32,
) -> Result<Vec<Outgoing>, VaultError> {
    let rows = sqlx::query("SELECT * FROM outbox WHERE number > ? ORDER BY number LIMIT ?")
        .bind(int(after.0))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// A message that the relay accepted.
pub(crate) struct Accepted {
    /// Its place.
    pub(crate) local: u64,
    /// Its room.
    pub(crate) room: RoomId,
}

/// The relay has everything up to this number: returns what of it is shown and newly there, in order.
pub(crate) async fn accept(db: &mut SqliteConnection, through: Number) -> Result<Vec<Accepted>, VaultError> {
    sqlx::query(
        "UPDATE messages SET state = 'accepted', reason = NULL
         WHERE state = 'sealed' AND local IN (SELECT local FROM outbox WHERE number <= ?)",
    )
    .bind(int(through.0))
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query(
        "SELECT o.local AS local, o.room AS room FROM outbox o JOIN messages m ON m.local = o.local
         WHERE o.number <= ? AND m.kind <> 'control' ORDER BY o.number",
    )
    .bind(int(through.0))
    .fetch_all(&mut *db)
    .await?;
    sqlx::query("DELETE FROM outbox WHERE number <= ?").bind(int(through.0)).execute(db).await?;
    rows.iter()
        .map(|row| Ok(Accepted { local: number(row, "local")?, room: id(row, "room", RoomId::from_slice)? }))
        .collect()
}

/// Takes a sealed message out.
pub(crate) async fn remove(db: &mut SqliteConnection, item: Number) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM outbox WHERE number = ?").bind(int(item.0)).execute(db).await?;
    Ok(())
}

/// Gives a sealed message another, lower number.
pub(crate) async fn renumber(db: &mut SqliteConnection, from: Number, to: Number) -> Result<(), VaultError> {
    sqlx::query("UPDATE outbox SET number = ? WHERE number = ?")
        .bind(int(to.0))
        .bind(int(from.0))
        .execute(db)
        .await?;
    Ok(())
}

/// A message goes back to be sealed again. Its own alias no longer matters: it stays in its room.
pub(crate) async fn back_to_intent(db: &mut SqliteConnection, item: &Outgoing) -> Result<(), VaultError> {
    remove(db, item.number).await?;
    sqlx::query("UPDATE messages SET state = 'queued', number = NULL WHERE local = ?")
        .bind(int(item.local))
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO intents (local, alias) SELECT local, coalesce(to_alias, '') FROM messages WHERE local = ?")
        .bind(int(item.local))
        .execute(db)
        .await?;
    Ok(())
}

/// How many messages are sealed and not accepted.
pub(crate) async fn count(db: &mut SqliteConnection) -> Result<u64, VaultError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(db).await?;
    Ok(count.unsigned_abs())
}

/// An own message that waits.
pub(crate) struct Waiting {
    /// Its place.
    pub(crate) local: u64,
    /// For whom it is.
    pub(crate) to: Option<Alias>,
    /// Why it waits.
    pub(crate) reason: Option<String>,
}

/// All own messages that the relay does not have.
pub(crate) async fn waiting(db: &mut SqliteConnection) -> Result<Vec<Waiting>, VaultError> {
    let rows = sqlx::query(
        "SELECT local, to_alias, reason FROM messages
         WHERE local IN (SELECT local FROM intents UNION ALL SELECT local FROM outbox) AND kind <> 'control' ORDER BY local",
    )
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                local: number(row, "local")?,
                to: optional_name(row, "to_alias")?,
                reason: row.try_get("reason")?,
            })
        })
        .collect()
}
