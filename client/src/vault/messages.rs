//! What was said.

use posthouse_spec::{AccountId, Alias, MessageId, Millis, Number, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{int, number, optional_id, optional_name, optional_number, word};
use super::lines;
use crate::error::VaultError;
use crate::group::MessageKind;
use crate::model::{Direction, Message, MessageState};

/// The rank of what came through this vault, as migration 4 has it; what was imported has a lower one.
const LIVE: u64 = 1 << 62;

/// Every column of [`Message`], with the aliases that stand for its accounts now.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT m.local, m.id, m.room, coalesce(p.alias, m.to_alias) AS peer_alias, m.peer, m.account, m.outgoing,
                 CASE WHEN m.outgoing = 1 THEN (SELECT alias FROM owner)
                     ELSE coalesce(s.alias, m.by_alias) END AS sender_alias,
                 m.sent, m.received, m.text, m.state, m.reason, m.unread, m.rank, m.kind, m.news, i.name AS room_name
             FROM messages m LEFT JOIN contacts p ON p.account = m.peer LEFT JOIN contacts s ON s.account = m.account
                 LEFT JOIN room_infos i ON i.room = m.room ",
            $rest
        )
    };
}

/// The columns, for a condition of another file.
pub(super) const SELECT: &str = select!("");

/// Reads a row of [`SELECT`].
pub(super) fn read(row: &SqliteRow) -> Result<Message, VaultError> {
    let outgoing = number(row, "outgoing")? == 1;
    Ok(Message {
        local: number(row, "local")?,
        id: optional_id(row, "id", MessageId::from_slice)?,
        room: optional_id(row, "room", RoomId::from_slice)?,
        room_name: row.try_get("room_name")?,
        peer: optional_name(row, "peer_alias")?,
        peer_account: optional_id(row, "peer", AccountId::from_slice)?,
        sender: optional_name(row, "sender_alias")?,
        account: optional_id(row, "account", AccountId::from_slice)?,
        direction: if outgoing { Direction::Out } else { Direction::In },
        sent: Millis(number(row, "sent")?),
        received: optional_number(row, "received")?.map(Millis),
        text: row.try_get("text")?,
        state: word(row, "state", MessageState::from_name)?,
        reason: row.try_get("reason")?,
        unread: number(row, "unread")? == 1,
        imported: number(row, "rank")? < LIVE,
        kind: word(row, "kind", MessageKind::from_name)?,
        news: lines::news(row)?,
    })
}

/// An own message that waits to be sealed; returns its place.
pub(crate) async fn insert_queued(
    db: &mut SqliteConnection,
    to: &Alias,
    author: &AccountId,
    text: &str,
    now: Millis,
) -> Result<u64, VaultError> {
    let row = sqlx::query(
        "INSERT INTO messages (to_alias, peer, account, outgoing, sent, text, state)
         VALUES (?1, (SELECT account FROM contacts WHERE alias = ?1), ?2, 1, ?3, ?4, 'queued') RETURNING local",
    )
    .bind(to.to_string())
    .bind(author.as_bytes().as_slice())
    .bind(int(now.0))
    .bind(text)
    .fetch_one(db)
    .await?;
    number(&row, "local")
}

/// A message that came.
pub(crate) struct Incoming<'a> {
    /// The room.
    pub(crate) room: &'a RoomId,
    /// With whom the conversation is.
    pub(crate) peer: Option<&'a AccountId>,
    /// Who wrote it.
    pub(crate) account: Option<&'a AccountId>,
    /// Its id.
    pub(crate) id: Option<&'a MessageId>,
    /// Whether this account wrote it, on another device.
    pub(crate) own: bool,
    /// When the relay took it.
    pub(crate) sent: Millis,
    /// What was in the seal.
    pub(crate) content: Option<&'a [u8]>,
    /// The text.
    pub(crate) text: Option<&'a str>,
    /// What became of it.
    pub(crate) state: MessageState,
    /// Why it could not be opened, or is not shown.
    pub(crate) reason: Option<&'a str>,
    /// The hash of the sealed body.
    pub(crate) body_hash: Option<[u8; 32]>,
}

/// Stores a message that came; `None` where its sender's id is there already.
pub(crate) async fn insert_incoming(
    db: &mut SqliteConnection,
    message: &Incoming<'_>,
    now: Millis,
) -> Result<Option<u64>, VaultError> {
    let row = sqlx::query(
        "INSERT INTO messages (room, peer, account, id, outgoing, sent, received, content, text, state, reason, unread,
             body_hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING local",
    )
    .bind(message.room.as_bytes().as_slice())
    .bind(message.peer.map(|peer| peer.as_bytes().as_slice()))
    .bind(message.account.map(|account| account.as_bytes().as_slice()))
    .bind(message.id.map(|id| id.as_bytes().as_slice()))
    .bind(message.own)
    .bind(int(message.sent.0))
    .bind(int(now.0))
    .bind(message.content)
    .bind(message.text)
    .bind(message.state.name())
    .bind(message.reason)
    .bind(!message.own)
    .bind(message.body_hash.as_ref().map(<[u8; 32]>::as_slice))
    .fetch_optional(db)
    .await?;
    row.map(|row| number(&row, "local")).transpose()
}

/// Whether a sealed body was opened before.
pub(crate) async fn was_opened(db: &mut SqliteConnection, body_hash: &[u8; 32]) -> Result<bool, VaultError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE body_hash = ? AND state = 'received')",
    )
    .bind(body_hash.as_slice())
    .fetch_one(db)
    .await?)
}

/// What is kept of an own message when it is sealed.
pub(crate) struct SealedAs<'a> {
    /// Its place.
    pub(crate) local: u64,
    /// Its room.
    pub(crate) room: &'a RoomId,
    /// With whom.
    pub(crate) peer: Option<&'a AccountId>,
    /// Its id.
    pub(crate) id: &'a MessageId,
    /// What is in the seal: the same again if it is sealed again.
    pub(crate) content: &'a [u8],
    /// Under which number it is submitted.
    pub(crate) number: Number,
}

/// An own message was sealed.
pub(crate) async fn set_sealed(db: &mut SqliteConnection, sealed: &SealedAs<'_>) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE messages SET state = 'sealed', reason = NULL, room = ?, peer = coalesce(?, peer), id = ?, content = ?,
             number = ? WHERE local = ?",
    )
    .bind(sealed.room.as_bytes().as_slice())
    .bind(sealed.peer.map(|peer| peer.as_bytes().as_slice()))
    .bind(sealed.id.as_bytes().as_slice())
    .bind(sealed.content)
    .bind(int(sealed.number.0))
    .bind(int(sealed.local))
    .execute(db)
    .await?;
    Ok(())
}

/// What became of an own message.
pub(crate) async fn set_state(
    db: &mut SqliteConnection,
    local: u64,
    state: MessageState,
    reason: Option<&str>,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE messages SET state = ?, reason = ? WHERE local = ?")
        .bind(state.name())
        .bind(reason)
        .bind(int(local))
        .execute(db)
        .await?;
    Ok(())
}

/// Under which number an own message is submitted now; `None` while it waits to be sealed again.
pub(crate) async fn set_number(
    db: &mut SqliteConnection,
    local: u64,
    number: Option<Number>,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE messages SET number = ? WHERE local = ?")
        .bind(number.map(|number| int(number.0)))
        .bind(int(local))
        .execute(db)
        .await?;
    Ok(())
}

/// The own message that was submitted under this number.
pub(crate) async fn by_number(
    db: &mut SqliteConnection,
    room: &RoomId,
    submitted: Number,
) -> Result<Option<u64>, VaultError> {
    let row = sqlx::query("SELECT local FROM messages WHERE number = ? AND room = ? AND outgoing = 1")
        .bind(int(submitted.0))
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    row.map(|row| number(&row, "local")).transpose()
}

/// One message.
pub(crate) async fn by_local(db: &mut SqliteConnection, local: u64) -> Result<Option<Message>, VaultError> {
    sqlx::query(select!("WHERE m.local = ? AND m.kind <> 'control'"))
        .bind(int(local))
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// Messages behind a place, of all conversations, oldest first.
pub(crate) async fn behind(
    db: &mut SqliteConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>, VaultError> {
    let rows = sqlx::query(select!("WHERE m.local > ? AND m.kind <> 'control' ORDER BY m.local LIMIT ?"))
        .bind(int(after))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// All unread messages, oldest first.
pub(crate) async fn unread(db: &mut SqliteConnection) -> Result<Vec<Message>, VaultError> {
    let rows = sqlx::query(select!("WHERE m.unread = 1 ORDER BY m.local")).fetch_all(db).await?;
    rows.iter().map(read).collect()
}

/// A message was read.
pub(crate) async fn mark_read(db: &mut SqliteConnection, local: u64) -> Result<(), VaultError> {
    sqlx::query("UPDATE messages SET unread = 0 WHERE unread = 1 AND local = ?")
        .bind(int(local))
        .execute(db)
        .await?;
    Ok(())
}
