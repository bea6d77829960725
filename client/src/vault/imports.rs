//! What imports bring: messages that this vault did not open itself. They are marked by their rank, are never unread, and
//! give way to the same message if it comes through this vault.

use std::collections::HashMap;

use posthouse_spec::{AccountId, RoomId};
use sqlx::sqlite::SqliteConnection;

use super::columns::int;
use super::lines;
use crate::error::VaultError;
use crate::model::{Direction, Message, MessageState};

/// Why an own message that was on its way is not any more.
const NOT_SENT: &str = "it had not been sent when it was exported";

/// Whether the message is there already: by its id, or by all that it says where it has none.
pub(crate) async fn is_there(
    db: &mut SqliteConnection,
    message: &Message,
    peer: Option<&AccountId>,
) -> Result<bool, VaultError> {
    let account = message.account.as_ref().map(|account| account.as_bytes().as_slice());
    let room = message.room.as_ref().map(|room| room.as_bytes().as_slice());
    if let (Some(account), Some(room), Some(id)) = (account, room, &message.id) {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE account = ? AND room = ? AND id = ?)",
        )
        .bind(account)
        .bind(room)
        .bind(id.as_bytes().as_slice())
        .fetch_one(db)
        .await?;
        return Ok(found);
    }
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE room IS ? AND sent = ? AND peer IS ? AND account IS ?
             AND id IS ? AND outgoing = ? AND text IS ? AND received IS ?)",
    )
    .bind(room)
    .bind(int(message.sent.0))
    .bind(peer.map(|peer| peer.as_bytes().as_slice()))
    .bind(account)
    .bind(message.id.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(message.direction == Direction::Out)
    .bind(message.text.as_deref())
    .bind(message.received.map(|received| int(received.0)))
    .fetch_one(db)
    .await?)
}

/// Stores what an export says of a message.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    message: &Message,
    peer: Option<&AccountId>,
) -> Result<(), VaultError> {
    let (state, reason) = match message.state {
        MessageState::Queued | MessageState::Sealed => (MessageState::Failed, Some(NOT_SENT)),
        state => (state, message.reason.as_deref()),
    };
    sqlx::query(
        "INSERT INTO messages (room, peer, to_alias, by_alias, id, account, outgoing, sent, received, text, state, reason,
             unread, rank, kind, news)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?8, ?13, ?14)",
    )
    .bind(message.room.as_ref().map(|room| room.as_bytes().as_slice()))
    .bind(peer.map(|peer| peer.as_bytes().as_slice()))
    .bind(message.peer.as_ref().map(ToString::to_string))
    .bind(message.sender.as_ref().map(ToString::to_string))
    .bind(message.id.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(message.account.as_ref().map(|account| account.as_bytes().as_slice()))
    .bind(message.direction == Direction::Out)
    .bind(int(message.sent.0))
    .bind(message.received.map(|received| int(received.0)))
    .bind(message.text.as_deref())
    .bind(state.name())
    .bind(reason)
    .bind(message.kind.name())
    .bind(lines::written(message.news.as_ref())?)
    .execute(db)
    .await?;
    Ok(())
}

/// With whom the direct rooms of this vault are.
pub(crate) async fn peers(db: &mut SqliteConnection) -> Result<HashMap<RoomId, AccountId>, VaultError> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT room, peer FROM rooms WHERE peer IS NOT NULL").fetch_all(db).await?;
    let pair =
        |(room, peer): &(Vec<u8>, Vec<u8>)| Some((RoomId::from_slice(room)?, AccountId::from_slice(peer)?));
    rows.iter().map(|row| pair(row).ok_or_else(|| VaultError::Content("column peer".to_owned()))).collect()
}
