//! The encrypted database: opening it, and bringing its tables up to this version.

use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};
use zeroize::Zeroizing;

use super::file::{failed, open_private};
use super::key::VaultKey;
use crate::error::VaultError;

/// Every migration there ever was, in order. One that was published is never changed.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "vault", include_str!("../../migrations/0001_vault.sql")),
    (2, "links", include_str!("../../migrations/0002_links.sql")),
    (3, "rooms", include_str!("../../migrations/0003_rooms.sql")),
];

/// SQLite's code for a page that is not what it ought to be.
const SQLITE_CORRUPT: &str = "11";
/// SQLite's code for a file that is no database under this key.
const SQLITE_NOTADB: &str = "26";

/// Opens the database, and makes it first if `create`.
pub(super) async fn open(path: &Path, key: &VaultKey, create: bool) -> Result<SqliteConnection, VaultError> {
    refuse_plain_build().await?;
    if create {
        // Made here, so that it is never readable by others, not even for the moment before a chmod.
        drop(open_private(path, false).map_err(failed("make", path))?);
    }
    let mut connection = options(path, key).connect().await.map_err(|error| in_file(path, &error))?;
    migrate(path, &mut connection).await?;
    Ok(connection)
}

fn options(path: &Path, key: &VaultKey) -> SqliteConnectOptions {
    let pragma = Zeroizing::new(format!("\"x'{}'\"", hex::encode(key.as_slice())));
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .pragma("key", pragma.to_string())
        .locking_mode(SqliteLockingMode::Exclusive)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What was deleted, such as used keys, must not linger in free pages.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// A build without SQLCipher would take the key, ignore it, and write a plain vault: asked before any file is touched.
async fn refuse_plain_build() -> Result<(), VaultError> {
    let mut memory = SqliteConnectOptions::new()
        .in_memory(true)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|error| VaultError::Sql(error.to_string()))?;
    // What fails is said by our own errors; SQLCipher would write it to the terminal as well. This holds for the process.
    sqlx::query("PRAGMA cipher_log_level = NONE").execute(&mut memory).await?;
    let version: Option<String> =
        sqlx::query_scalar("PRAGMA cipher_version").fetch_optional(&mut memory).await?;
    memory.close().await?;
    if version.is_some_and(|version| !version.is_empty()) { Ok(()) } else { Err(VaultError::NotEncrypted) }
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), VaultError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    match Migrator::with_migrations(migrations).run(connection).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(_)) => Err(VaultError::Newer { path: path.to_owned() }),
        Err(MigrateError::VersionMismatch(version) | MigrateError::Dirty(version)) => {
            Err(VaultError::Damaged {
                path: path.to_owned(),
                why: format!("its tables of version {version} are not those of this program"),
            })
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(in_file(path, &error))
        }
        Err(error) => Err(VaultError::Sql(error.to_string())),
    }
}

fn in_file(path: &Path, error: &sqlx::Error) -> VaultError {
    match damage(error) {
        Some(why) => VaultError::Damaged { path: path.to_owned(), why },
        None => VaultError::Sql(error.to_string()),
    }
}

/// What SQLite says of damage. The key has been checked before, so "not a database" is damage too.
fn damage(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let code = error.code()?;
    let primary: u32 = code.parse().ok()?;
    let primary = (primary & 0xff).to_string();
    (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB).then(|| error.message().to_owned())
}

impl From<sqlx::Error> for VaultError {
    fn from(error: sqlx::Error) -> Self {
        match damage(&error) {
            Some(why) => Self::DamagedPage(why),
            None => Self::Sql(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for crate::error::ClientError {
    fn from(error: sqlx::Error) -> Self {
        Self::Vault(error.into())
    }
}
