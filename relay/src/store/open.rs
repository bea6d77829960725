//! Opening: the folder, its lock, the schema and the fence.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use posthouse_crypto::mark::MarkKey;
use posthouse_spec::Domain;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlSafeStr as _, SqliteConnection, SqlitePool};

use super::columns::Columns;
use super::error::StoreError;
use super::marks::mark_key;

/// The database's file in the data folder.
pub(super) const FILE: &str = "relay.db";
/// The lock's file in the data folder.
pub(super) const LOCK: &str = "relay.lock";
/// Connections that read.
const READERS: u32 = 4;
/// How long a connection waits for another one's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 256;

/// Rows that the writer's thread may be ahead: what it returns are short rows of what it has deleted.
const WRITER_ROWS: usize = 1024;

/// The schema's steps. New ones are put at the end; what stands here is never changed.
const STEPS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/0001_first.sql")),
    (2, "refusals", include_str!("../../migrations/0002_refusals.sql")),
    (3, "key package expiry", include_str!("../../migrations/0003_key_package_expiry.sql")),
    (4, "lanes", include_str!("../../migrations/0004_lanes.sql")),
    (5, "manifests", include_str!("../../migrations/0005_manifests.sql")),
    (7, "peer rules", include_str!("../../migrations/0007_peer_rules.sql")),
    (8, "mailbags", include_str!("../../migrations/0008_mailbags.sql")),
    (9, "marks", include_str!("../../migrations/0009_marks.sql")),
    (10, "restores", include_str!("../../migrations/0010_restores.sql")),
    (11, "scans", include_str!("../../migrations/0011_scans.sql")),
];

/// An open store.
pub(crate) struct Opened {
    pub(crate) writer: SqliteConnection,
    pub(crate) readers: SqlitePool,
    pub(crate) fence: i64,
    pub(crate) lock: File,
    pub(crate) marks: MarkKey,
}

/// Opens the store of a folder, and takes it over.
pub(crate) async fn open(folder: &Path, domain: &Domain, node: &str) -> Result<Opened, StoreError> {
    make_folder(folder)?;
    let lock = lock(folder)?;
    private_file(&folder.join(FILE))?;
    let mut writer = connect(folder).await?;
    migrate(&mut writer, folder).await?;
    let fence = take_over(&mut writer, folder, domain, node).await?;
    let marks = mark_key(&mut writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        // They are looked at when they come back; asking again before each read is a way to their thread and back.
        .test_before_acquire(false)
        .connect_with(options(folder).read_only(true))
        .await
        .map_err(StoreError::sql("open connections that read"))?;
    Ok(Opened { writer, readers, fence, lock, marks })
}

/// Opens one more writing connection to a store that may be in use: for tools beside a running relay.
pub(crate) async fn open_beside(folder: &Path) -> Result<SqliteConnection, StoreError> {
    make_folder(folder)?;
    private_file(&folder.join(FILE))?;
    let mut conn = connect(folder).await?;
    migrate(&mut conn, folder).await?;
    Ok(conn)
}

pub(super) fn options(folder: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.join(FILE))
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        // Temporary files would lie outside of the data folder, and cost system calls for every other transaction.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

async fn connect(folder: &Path) -> Result<SqliteConnection, StoreError> {
    options(folder)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What was delivered is overwritten, so that a thief of the disk does not find it in free pages.
        .pragma("secure_delete", "ON")
        .row_buffer_size(WRITER_ROWS)
        .connect()
        .await
        .map_err(StoreError::sql("open the database"))
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { doing, path, why: error.to_string() }
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(folder).map_err(io("make the data folder", folder))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owner_only = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, owner_only)
            .map_err(io("close the data folder to others", folder))?;
    }
    Ok(())
}

fn private_file(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map_err(io("open", path))
}

pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let file = private_file(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(io("lock", &path)(error)),
    }
}

/// The newest step of the schema that this program knows.
pub(super) fn newest_known() -> i64 {
    STEPS[STEPS.len() - 1].0
}

async fn migrate(conn: &mut SqliteConnection, folder: &Path) -> Result<(), StoreError> {
    let known = newest_known();
    let found = newest_step(conn).await?;
    if found > known {
        return Err(StoreError::Newer { folder: folder.to_owned(), found, known });
    }
    let step = |&(version, name, text): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(STEPS.iter().map(step).collect()).run(conn).await.map_err(|error| {
        StoreError::Database { doing: "bring its schema up to date", why: error.to_string() }
    })
}

pub(super) async fn newest_step(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    let doing = "find out the version of its schema";
    let row = sqlx::query("SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *conn)
        .await
        .map_err(StoreError::sql(doing))?;
    if row.number(0)? == 0 {
        return Ok(0);
    }
    let row = sqlx::query("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(conn)
        .await
        .map_err(StoreError::sql(doing))?;
    row.row_id(0)
}

/// Makes this node the owner, and gives it a fence that no node had before.
async fn take_over(
    conn: &mut SqliteConnection,
    folder: &Path,
    domain: &Domain,
    node: &str,
) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO owner (one, domain, node, fence) VALUES (1, ?1, ?2, 1) \
         ON CONFLICT (one) DO UPDATE SET node = iif(domain = ?1, ?2, node), \
         fence = iif(domain = ?1, fence + 1, fence) RETURNING domain, fence",
    )
    .bind(domain.as_str())
    .bind(node)
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::sql("take the store over"))?;
    let found = row.domain(0)?;
    if found != *domain {
        let (folder, wanted) = (folder.to_owned(), domain.clone());
        return Err(StoreError::OtherDomain { folder, found: found.to_string(), wanted });
    }
    let fence = row.row_id(1)?;
    // How much was given out before this start is not remembered: at most everything that had a number then, where
    // anything was given out at all since the start before. Whoever says otherwise has met a later state of this store.
    for text in [
        "UPDATE lanes SET handed = next, sending = 0 WHERE sending = 1",
        "UPDATE device_state SET given = next - 1, greeted = 0 WHERE greeted = 1",
    ] {
        sqlx::query(text)
            .execute(&mut *conn)
            .await
            .map_err(StoreError::sql("take the lanes and mailboxes over"))?;
    }
    Ok(fence)
}
