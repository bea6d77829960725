//! Pages of messages: of one conversation or all, filtered, and either way from a place.
//!
//! Messages stand by rank and place: what an import brought comes first, by the time that it names, and then what came
//! through this vault, in the order in which it did.

use posthouse_spec::{AccountId, Alias, Millis, RoomId};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::columns::{int, optional_id, optional_name};
use super::messages::{self, SELECT};
use crate::error::VaultError;
use crate::model::{Message, Page};

/// The rank of what came through this vault, as migration 4 has it.
const LIVE: i64 = 1 << 62;

/// Of which conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All.
    All,
    /// A room.
    Room(RoomId),
    /// With whoever has this alias, in whatever room, and what waits for one.
    With {
        /// The alias.
        alias: Alias,
        /// The account to which it is pinned.
        peer: Option<AccountId>,
    },
    /// With an account.
    Peer(AccountId),
    /// What waits for, or is said to be with, an alias of which no account is known.
    Alias(Alias),
    /// What is with nobody: by its room, if it has one.
    Nobody(Option<RoomId>),
}

impl Scope {
    /// The condition, over an id `?1` and an alias `?2`.
    fn condition(&self) -> String {
        match self {
            Self::All => "?1 IS NULL AND ?2 IS NULL".to_owned(),
            Self::Room(_) => "m.room = ?1 AND ?2 IS NULL".to_owned(),
            Self::With { peer: Some(_), .. } => {
                "(m.peer = ?1 OR (m.peer IS NULL AND m.to_alias = ?2))".to_owned()
            }
            // An import may speak of people who are unknown here.
            Self::With { peer: None, .. } => format!(
                "?1 IS NULL AND ((m.peer IS NULL AND m.to_alias = ?2) OR (m.rank < {LIVE} AND m.to_alias = ?2))"
            ),
            Self::Peer(_) => "m.peer = ?1 AND ?2 IS NULL".to_owned(),
            Self::Alias(_) => "?1 IS NULL AND m.peer IS NULL AND m.to_alias = ?2".to_owned(),
            Self::Nobody(_) => {
                "m.peer IS NULL AND m.to_alias IS NULL AND m.room IS ?1 AND ?2 IS NULL".to_owned()
            }
        }
    }

    fn id(&self) -> Option<&[u8]> {
        match self {
            Self::Room(room) | Self::Nobody(Some(room)) => Some(room.as_bytes().as_slice()),
            Self::With { peer: Some(peer), .. } | Self::Peer(peer) => Some(peer.as_bytes().as_slice()),
            _ => None,
        }
    }

    fn alias(&self) -> Option<String> {
        match self {
            Self::With { alias, .. } | Self::Alias(alias) => Some(alias.to_string()),
            _ => None,
        }
    }
}

/// The messages with whoever has this alias, pinned to `peer`. Where none waits for a room, the account alone tells them,
/// and a page of them is read without sorting all.
pub(crate) async fn with(
    db: &mut SqliteConnection,
    alias: &Alias,
    peer: Option<AccountId>,
) -> Result<Scope, VaultError> {
    let waiting: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM messages WHERE peer IS NULL AND to_alias = ?)")
            .bind(alias.to_string())
            .fetch_one(db)
            .await?;
    Ok(match peer {
        Some(peer) if !waiting => Scope::Peer(peer),
        peer => Scope::With { alias: alias.clone(), peer },
    })
}

/// Which messages of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Filter<'a> {
    /// Only behind this place.
    pub(crate) after: Option<u64>,
    /// Only before this place.
    pub(crate) before: Option<u64>,
    /// Only sent at this time or later.
    pub(crate) since: Option<Millis>,
    /// Only sent before this time.
    pub(crate) until: Option<Millis>,
    /// Only with a text that the index finds by this query.
    pub(crate) indexed: Option<&'a str>,
}

/// From which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// From the newest on.
    NewestFirst,
    /// From the oldest on.
    OldestFirst,
}

/// The first messages of a conversation in this order.
pub(crate) async fn read(
    db: &mut SqliteConnection,
    scope: &Scope,
    filter: Filter<'_>,
    order: Order,
    limit: u64,
) -> Result<Vec<Message>, VaultError> {
    let from = match order {
        Order::NewestFirst => filter.before,
        Order::OldestFirst => filter.after,
    };
    let Some(place) = from else { return part(db, scope, filter, order, Part::All, limit).await };
    let rank = rank_of(db, place).await?;
    // Two parts, each of which is one range of an index: nearly all messages have the same rank.
    let mut found = part(db, scope, filter, order, Part::Same { rank }, limit).await?;
    let missing = limit.saturating_sub(found.len() as u64);
    if missing > 0 {
        found.extend(part(db, scope, filter, order, Part::Beyond { rank }, missing).await?);
    }
    Ok(found)
}

/// The rank of a place. One that is gone, or was never there, counts as a place of what came through this vault.
async fn rank_of(db: &mut SqliteConnection, place: u64) -> Result<i64, VaultError> {
    let rank = sqlx::query_scalar("SELECT rank FROM messages WHERE local = ?")
        .bind(int(place))
        .fetch_optional(db)
        .await?;
    Ok(rank.unwrap_or(LIVE))
}

/// Which part of the messages on one side of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// There is no place: all.
    All,
    /// Those of its rank.
    Same { rank: i64 },
    /// Those of other ranks.
    Beyond { rank: i64 },
}

async fn part(
    db: &mut SqliteConnection,
    scope: &Scope,
    filter: Filter<'_>,
    order: Order,
    part: Part,
    limit: u64,
) -> Result<Vec<Message>, VaultError> {
    let mut sql = format!("{SELECT}WHERE {} AND m.kind <> 'control'", scope.condition());
    sql.push_str(match (part, order) {
        (Part::All, _) => " AND ?7 IS NULL",
        (Part::Same { .. }, Order::NewestFirst) => " AND m.rank = ?7 AND m.local < ?4",
        (Part::Same { .. }, Order::OldestFirst) => " AND m.rank = ?7 AND m.local > ?3",
        (Part::Beyond { .. }, Order::NewestFirst) => " AND m.rank < ?7",
        (Part::Beyond { .. }, Order::OldestFirst) => " AND m.rank > ?7",
    });
    // The bound on the other side.
    sql.push_str(&match (order, filter.after, filter.before) {
        (Order::NewestFirst, Some(_), _) => beyond("?3", ">"),
        (Order::OldestFirst, _, Some(_)) => beyond("?4", "<"),
        _ => String::new(),
    });
    // The plus keeps SQLite from an index by time, after which it would sort the whole conversation.
    sql.push_str(" AND +m.sent >= ?5 AND +m.sent < ?6");
    sql.push_str(match filter.indexed {
        Some(_) => " AND m.local IN (SELECT rowid FROM message_text WHERE message_text MATCH ?8)",
        None => " AND ?8 IS NULL",
    });
    sql.push_str(match order {
        Order::NewestFirst => " ORDER BY m.rank DESC, m.local DESC LIMIT ?9",
        Order::OldestFirst => " ORDER BY m.rank, m.local LIMIT ?9",
    });
    let rank = match part {
        Part::All => None,
        Part::Same { rank } | Part::Beyond { rank } => Some(rank),
    };
    // Every piece of it is a constant of this file.
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(scope.id())
        .bind(scope.alias())
        .bind(filter.after.map(int))
        .bind(filter.before.map(int))
        .bind(filter.since.map_or(0, |since| int(since.0)))
        .bind(filter.until.map_or(i64::MAX, |until| int(until.0)))
        .bind(rank)
        .bind(filter.indexed)
        .bind(int(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(messages::read).collect()
}

/// The condition of standing behind or before a place.
fn beyond(cursor: &str, than: &str) -> String {
    format!(
        " AND (m.rank, m.local) {than} (coalesce((SELECT rank FROM messages WHERE local = {cursor}), {LIVE}), {cursor})"
    )
}

/// A page of a conversation, oldest message first.
pub(crate) async fn page(
    db: &mut SqliteConnection,
    scope: &Scope,
    page: Page,
) -> Result<Vec<Message>, VaultError> {
    let filter = Filter { after: page.after, before: page.before, ..Filter::default() };
    let limit = page.limit.unwrap_or(u64::MAX);
    if page.after.is_some() && page.before.is_none() {
        return read(db, scope, filter, Order::OldestFirst, limit).await;
    }
    let mut messages = read(db, scope, filter, Order::NewestFirst, limit).await?;
    messages.reverse();
    Ok(messages)
}

/// Every conversation of which there are messages, so that each message is in one of them; in the order in which they began.
pub(crate) async fn conversations(db: &mut SqliteConnection) -> Result<Vec<Scope>, VaultError> {
    let rows = sqlx::query(
        "SELECT peer, CASE WHEN peer IS NULL THEN to_alias END AS alias,
             CASE WHEN peer IS NULL AND to_alias IS NULL THEN room END AS room
         FROM messages WHERE kind <> 'control' GROUP BY 1, 2, 3 ORDER BY min(sent), min(local)",
    )
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let peer = optional_id(row, "peer", AccountId::from_slice)?;
            let alias = optional_name(row, "alias")?;
            Ok(match (peer, alias, row.try_get::<Option<&[u8]>, _>("room")?) {
                (Some(peer), ..) => Scope::Peer(peer),
                (None, Some(alias), _) => Scope::Alias(alias),
                (None, None, _) => Scope::Nobody(optional_id(row, "room", RoomId::from_slice)?),
            })
        })
        .collect()
}
