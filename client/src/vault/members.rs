//! Who is in a room, as its tree said in the last epoch that this device has seen.

use posthouse_spec::room::Role;
use posthouse_spec::{AccountId, Alias, Domain, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{code, id, int, name, number, optional_name};
use crate::error::VaultError;

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRow {
    /// The account.
    pub(crate) account: AccountId,
    /// Their role.
    pub(crate) role: Role,
    /// Their relay.
    pub(crate) home: Domain,
    /// How many of their devices are in the room.
    pub(crate) devices: u64,
}

/// Somebody in a room, with what else is known of them here.
pub(crate) struct ListedMember {
    /// The member.
    pub(crate) row: MemberRow,
    /// Their alias.
    pub(crate) alias: Option<Alias>,
    /// Whether they said that they leave.
    pub(crate) leaving: bool,
    /// Why their chain is not here.
    pub(crate) reason: Option<String>,
}

fn read(row: &SqliteRow) -> Result<MemberRow, VaultError> {
    Ok(MemberRow {
        account: id(row, "account", AccountId::from_slice)?,
        role: code(row, "role", Role::from_code)?,
        home: name(row, "home")?,
        devices: number(row, "devices")?,
    })
}

/// Notes who is in a room now.
pub(crate) async fn replace(
    db: &mut SqliteConnection,
    room: &RoomId,
    members: &[MemberRow],
) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM members WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .execute(&mut *db)
        .await?;
    for member in members {
        sqlx::query("INSERT INTO members (room, account, role, home, devices) VALUES (?, ?, ?, ?, ?)")
            .bind(room.as_bytes().as_slice())
            .bind(member.account.as_bytes().as_slice())
            .bind(int(member.role.code()))
            .bind(member.home.as_str())
            .bind(int(member.devices))
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Who is in a room, the highest roles first.
pub(crate) async fn list(db: &mut SqliteConnection, room: &RoomId) -> Result<Vec<ListedMember>, VaultError> {
    let rows = sqlx::query(
        "SELECT m.*, c.alias AS alias, w.reason AS why, l.account IS NOT NULL AS leaving FROM members m
         LEFT JOIN contacts c ON c.account = m.account
         LEFT JOIN wanted_chains w ON w.account = m.account
         LEFT JOIN leavings l ON l.room = m.room AND l.account = m.account
         WHERE m.room = ? ORDER BY m.role DESC, c.alias IS NULL, c.alias, m.account",
    )
    .bind(room.as_bytes().as_slice())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ListedMember {
                row: read(row)?,
                alias: optional_name(row, "alias")?,
                leaving: number(row, "leaving")? == 1,
                reason: row.try_get("why")?,
            })
        })
        .collect()
}

/// Somebody is not in a room any more.
pub(crate) async fn remove(
    db: &mut SqliteConnection,
    room: &RoomId,
    account: &AccountId,
) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM members WHERE room = ? AND account = ?")
        .bind(room.as_bytes().as_slice())
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Somebody in a room.
pub(crate) async fn find(
    db: &mut SqliteConnection,
    room: &RoomId,
    account: &AccountId,
) -> Result<Option<MemberRow>, VaultError> {
    sqlx::query("SELECT * FROM members WHERE room = ? AND account = ?")
        .bind(room.as_bytes().as_slice())
        .bind(account.as_bytes().as_slice())
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}
