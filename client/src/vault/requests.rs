//! Invitations: by people who are no contacts until they are accepted, by contacts until they are joined.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::client::delivery::WelcomeDelivery;
use posthouse_spec::room::RoomKind;
use posthouse_spec::{AccountId, Alias, Millis, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{cbor, code, id, int, name, number, word};
use crate::error::VaultError;
use crate::model::Request;

/// What was answered to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing yet.
    Asking,
    /// Yes: it is joined as soon as it is verified.
    Accepted,
    /// No: what comes for the room is dropped.
    Blocked,
}

impl Answer {
    fn name(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Accepted => "accepted",
            Self::Blocked => "blocked",
        }
    }
    fn from_name(name: &str) -> Option<Self> {
        [Self::Asking, Self::Accepted, Self::Blocked].into_iter().find(|answer| answer.name() == name)
    }
}

/// An invitation.
#[derive(Debug, Clone)]
pub(crate) struct RequestRow {
    /// The room.
    pub(crate) room: RoomId,
    /// Who asks.
    pub(crate) account: AccountId,
    /// How they call themselves.
    pub(crate) alias: Alias,
    /// To what kind of room they invite.
    pub(crate) kind: RoomKind,
    /// When the relay took it.
    pub(crate) received: Millis,
    /// What was answered.
    pub(crate) answer: Answer,
    /// Whether the alias was found to be theirs.
    pub(crate) verified: bool,
    /// Items that were not kept because too many waited.
    pub(crate) dropped: u64,
    /// Why it could not be verified or joined yet.
    pub(crate) reason: Option<String>,
}

impl RequestRow {
    /// The request as it is shown.
    pub(crate) fn shown(&self, waiting: u64) -> Request {
        Request {
            alias: self.alias.clone(),
            account: self.account,
            room: self.room,
            kind: self.kind,
            received: self.received,
            verified: self.verified,
            waiting: waiting + self.dropped,
            reason: self.reason.clone(),
        }
    }
}

fn read(row: &SqliteRow) -> Result<RequestRow, VaultError> {
    Ok(RequestRow {
        room: id(row, "room", RoomId::from_slice)?,
        account: id(row, "account", AccountId::from_slice)?,
        alias: name(row, "alias")?,
        kind: code(row, "kind", RoomKind::from_code)?,
        received: Millis(number(row, "received")?),
        answer: word(row, "standing", Answer::from_name)?,
        verified: number(row, "verified")? == 1,
        dropped: number(row, "dropped")?,
        reason: row.try_get("reason")?,
    })
}

/// Stores an invitation; one for the same room is kept as it is.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    request: &RequestRow,
    welcome: Option<&WelcomeDelivery>,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT OR IGNORE INTO requests (room, account, alias, delivery, received, standing, kind) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(request.room.as_bytes().as_slice())
    .bind(request.account.as_bytes().as_slice())
    .bind(request.alias.to_string())
    .bind(welcome.map(|welcome| welcome.to_cbor()))
    .bind(int(request.received.0))
    .bind(request.answer.name())
    .bind(int(request.kind.code()))
    .execute(db)
    .await?;
    Ok(())
}

/// The invitation to a room.
pub(crate) async fn by_room(
    db: &mut SqliteConnection,
    room: &RoomId,
) -> Result<Option<RequestRow>, VaultError> {
    sqlx::query("SELECT * FROM requests WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// The Welcome of an invitation.
pub(crate) async fn welcome(
    db: &mut SqliteConnection,
    room: &RoomId,
) -> Result<Option<WelcomeDelivery>, VaultError> {
    let row = sqlx::query("SELECT delivery FROM requests WHERE room = ? AND delivery IS NOT NULL")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    row.map(|row| cbor(&row, "delivery")).transpose()
}

/// All invitations that were not refused, oldest first.
pub(crate) async fn open(db: &mut SqliteConnection) -> Result<Vec<RequestRow>, VaultError> {
    let rows = sqlx::query("SELECT * FROM requests WHERE standing <> 'blocked' ORDER BY received, room")
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// Whether an invitation to a direct room that is really of somebody was accepted and is not joined yet. What others claim in their name
/// holds up nothing.
pub(crate) async fn is_joining(db: &mut SqliteConnection, account: &AccountId) -> Result<bool, VaultError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM requests
             WHERE account = ? AND standing = 'accepted' AND verified = 1 AND kind = 1)",
    )
    .bind(account.as_bytes().as_slice())
    .fetch_one(db)
    .await?)
}

/// Gives the same answer to all open invitations of an account.
pub(crate) async fn answer(
    db: &mut SqliteConnection,
    account: &AccountId,
    answer: Answer,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE requests SET standing = ? WHERE account = ? AND standing <> 'blocked'")
        .bind(answer.name())
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The alias was found to be theirs.
pub(crate) async fn set_verified(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("UPDATE requests SET verified = 1, reason = NULL WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Why it could not be verified or joined yet.
pub(crate) async fn set_reason(
    db: &mut SqliteConnection,
    room: &RoomId,
    reason: &str,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE requests SET reason = ? WHERE room = ?")
        .bind(reason)
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// One more item was not kept.
pub(crate) async fn count_dropped(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("UPDATE requests SET dropped = dropped + 1 WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The invitation was joined, or does not hold.
pub(crate) async fn remove(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM requests WHERE room = ?").bind(room.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}

/// Nothing of the room is wanted for as long as who asks is blocked.
pub(crate) async fn turn_away(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("UPDATE requests SET standing = 'blocked', reason = NULL WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// All invitations that were turned away, oldest first.
pub(crate) async fn turned_away(db: &mut SqliteConnection) -> Result<Vec<RequestRow>, VaultError> {
    let rows = sqlx::query(
        "SELECT * FROM requests WHERE standing = 'blocked' AND delivery IS NOT NULL ORDER BY received, room",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// Who asked is no longer blocked: what was turned away is open again.
pub(crate) async fn reopen(db: &mut SqliteConnection, account: &AccountId) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE requests SET standing = 'asking' WHERE account = ? AND standing = 'blocked' AND delivery IS NOT NULL",
    )
    .bind(account.as_bytes().as_slice())
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps only the mark that nothing of the room is ever wanted.
pub(crate) async fn block(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("UPDATE requests SET standing = 'blocked', delivery = NULL, reason = NULL WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}
