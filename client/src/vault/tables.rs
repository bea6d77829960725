//! What of the vault a backup holds: rows as they are, table by table.
//!
//! It holds what lasts: who the account is, people, messages, and the facts of rooms. It never holds the device's keys, the
//! ratchets, or what is on its way: a ratchet that is used twice gives secrets away, so what comes back is another device
//! of the account. A table that is in neither list fails a test, so that whoever adds one decides.

use posthouse_spec::cbor::{Cbor, Malformed, Reader, Writer};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, TypeInfo as _, ValueRef as _};

use crate::error::VaultError;

/// Largest text or blob of a row, bytes: an account's longest chain.
const MAX_CELL: usize = 20 * 1024 * 1024;

/// A table that a backup holds.
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: &'static str,
    /// Columns that stay behind.
    except: &'static [&'static str],
}

/// The tables that a backup holds.
pub(crate) const KEPT: &[Table] = &[
    Table {
        name: "owner",
        except: &[
            "device_seed",
            "seal_secret",
            "recovery",
            "incarnation",
            "last_number",
            "cursor",
            "restored",
        ],
    },
    Table { name: "backup_key", except: &[] },
    Table { name: "relays", except: &[] },
    Table { name: "links", except: &[] },
    Table { name: "contacts", except: &[] },
    Table { name: "blocks", except: &[] },
    Table { name: "newcomers", except: &[] },
    Table { name: "rooms", except: &["stale"] },
    Table { name: "messages", except: &["number"] },
    Table { name: "room_infos", except: &[] },
    Table { name: "wanted_chains", except: &[] },
    Table { name: "unattributed", except: &[] },
    Table { name: "retention", except: &[] },
];

/// The tables that stay behind: ratchets, keys, what is on its way to or from the relay, and what a room's tree says anew.
#[cfg(test)]
pub(crate) const LEFT: &[&str] = &[
    "mls",
    "key_packages",
    "intents",
    "outbox",
    "foundings",
    "commits",
    "requests",
    "held",
    "epoch_relays",
    "epoch_ends",
    "publications",
    "contexts",
    "members",
    "changes",
    "claims",
    "leavings",
];

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// None.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Cbor for Cell {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Null => w.array(0),
            Self::Int(value) => {
                w.array(2);
                w.uint(1);
                w.int(*value);
            }
            Self::Text(value) => {
                w.array(2);
                w.uint(2);
                w.text(value);
            }
            Self::Blob(value) => {
                w.array(2);
                w.uint(3);
                w.bytes(value);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        match r.array("cell", 2)? {
            0 => return Ok(Self::Null),
            2 => {}
            _ => return Err(Malformed::BadValue("a cell is empty or [number, value]")),
        }
        match r.uint()? {
            1 => Ok(Self::Int(r.int()?)),
            2 => Ok(Self::Text(r.text("cell", MAX_CELL)?.to_owned())),
            3 => Ok(Self::Blob(r.bytes("cell", MAX_CELL)?.to_vec())),
            code => Err(Malformed::UnknownVariant { kind: "cell", code }),
        }
    }
}

/// A row with its place in the table.
pub(crate) struct Placed {
    /// The place.
    pub(crate) place: i64,
    /// The values, in the order of the columns.
    pub(crate) cells: Vec<Cell>,
}

impl Table {
    /// The columns that a backup holds, as this version of the vault has them.
    pub(crate) async fn columns(&self, db: &mut SqliteConnection) -> Result<Vec<String>, VaultError> {
        let all: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid")
            .bind(self.name)
            .fetch_all(db)
            .await?;
        Ok(all.into_iter().filter(|column| !self.except.contains(&column.as_str())).collect())
    }

    /// Rows behind a place. The columns are some of [`Table::columns`].
    pub(crate) async fn rows(
        &self,
        db: &mut SqliteConnection,
        columns: &[String],
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Placed>, VaultError> {
        let names = quoted(columns);
        let sql = format!(
            "SELECT rowid AS place, {names} FROM {} WHERE ?1 IS NULL OR rowid > ?1 ORDER BY rowid LIMIT ?2",
            self.name
        );
        // Names of tables and columns are this program's own.
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(db).await?;
        rows.iter()
            .map(|row| {
                let cells = (1..=columns.len()).map(|at| cell(row, at)).collect::<Result<_, _>>()?;
                Ok(Placed { place: row.try_get("place")?, cells })
            })
            .collect()
    }

    /// Puts a row in. The columns are some of [`Table::columns`]; what stayed behind is made anew.
    pub(crate) async fn insert(
        &self,
        db: &mut SqliteConnection,
        columns: &[String],
        mut cells: Vec<Cell>,
    ) -> Result<(), VaultError> {
        let mut names = quoted(columns);
        if self.name == "owner" {
            for (name, cell) in fresh_owner() {
                names.push_str(&format!(", \"{name}\""));
                cells.push(cell);
            }
        }
        let marks = vec!["?"; cells.len()].join(", ");
        let sql = format!("INSERT INTO {} ({names}) VALUES ({marks})", self.name);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for cell in cells {
            query = match cell {
                Cell::Null => query.bind(None::<i64>),
                Cell::Int(value) => query.bind(value),
                Cell::Text(value) => query.bind(value),
                Cell::Blob(value) => query.bind(value),
            };
        }
        query.execute(db).await?;
        Ok(())
    }
}

/// Another device of the account, which nobody knows yet.
fn fresh_owner() -> Vec<(&'static str, Cell)> {
    vec![
        ("device_seed", Cell::Blob(rand::random::<[u8; 32]>().to_vec())),
        ("seal_secret", Cell::Blob(rand::random::<[u8; 32]>().to_vec())),
        ("incarnation", Cell::Blob(rand::random::<[u8; 16]>().to_vec())),
    ]
}

fn quoted(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

fn cell(row: &SqliteRow, at: usize) -> Result<Cell, VaultError> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => Cell::Int(row.try_get(at)?),
        "TEXT" => Cell::Text(row.try_get(at)?),
        "BLOB" => Cell::Blob(row.try_get(at)?),
        other => return Err(VaultError::Content(format!("a value of type {other}"))),
    })
}

/// What came back is set right: what was on its way is not any more, and this device is in no room.
pub(crate) async fn settle(db: &mut SqliteConnection, now: posthouse_spec::Millis) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE messages SET state = 'failed', reason = 'it had not been sent when the backup was made: send it again'
         WHERE state IN ('queued', 'sealed')",
    )
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "UPDATE rooms SET state = 'broken', reason = 'restored from a backup: this device is not in it yet'
         WHERE state IN ('founding', 'active')",
    )
    .execute(&mut *db)
    .await?;
    sqlx::query("UPDATE owner SET restored = ?").bind(super::columns::int(now.0)).execute(db).await?;
    Ok(())
}
