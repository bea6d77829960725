use posthouse_spec::Epoch;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use super::super::types::{SubmitOutcome, Wakes};
use super::super::{Store, StoreError};
use super::support::*;

async fn raw(folder: &std::path::Path, text: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.join("relay.db"));
    let mut conn = options.connect().await.unwrap();
    sqlx::query(text).execute(&mut conn).await.unwrap();
    sqlx::Connection::close(conn).await.unwrap();
}

#[tokio::test]
async fn two_relays_never_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).await;
    let second = Store::open(folder.path(), &own(), "other", Wakes::none()).await;
    assert!(matches!(second, Err(StoreError::Locked(_))));
    first.close().await;
    open(folder.path()).await.close().await;
}

#[tokio::test]
async fn a_folder_belongs_to_one_domain() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.close().await;
    let other = Store::open(folder.path(), &domain("b.example"), "test", Wakes::none()).await;
    assert!(matches!(other, Err(StoreError::OtherDomain { .. })));
    open(folder.path()).await.close().await;
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_refused_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.close().await;
    raw(
        folder.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', 1, x'00', 0)",
    )
    .await;
    let Err(error) = Store::open(folder.path(), &own(), "test", Wakes::none()).await else {
        panic!("a newer folder was opened");
    };
    assert!(matches!(error, StoreError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("run the newer version"), "{error}");
}

#[tokio::test]
async fn a_node_that_lost_the_store_writes_nothing_more() {
    let world = World::with_room().await;
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    raw(world.folder.path(), "UPDATE owner SET fence = fence + 1").await;
    let late = world.store.submit(NOW, world.alice.who, submit(Epoch(0), 2, b"two")).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })));
    // The server waits for this, and ends.
    world.store.lost().await;
    assert_eq!(world.mailbox(&world.anna).await.len(), 1);
}

#[tokio::test]
async fn after_close_everything_says_closed() {
    let world = World::with_room().await;
    world.store.close().await;
    let late = world.store.submit(NOW, world.alice.who, submit(Epoch(0), 1, b"late")).await;
    assert!(matches!(late, Err(StoreError::Closed)));
    assert!(matches!(world.store.end_sessions(world.alice.who).await, Err(StoreError::Closed)));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path()), 0o700);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    store.close().await;
}

#[tokio::test]
async fn what_is_answered_survives_the_loss_of_power() {
    let world = World::new().await;
    let settings = world.store.write(|tx| {
        Box::pin(async move {
            let mut found = Vec::new();
            for text in [
                "SELECT synchronous FROM pragma_synchronous",
                "SELECT journal_mode = 'wal' FROM pragma_journal_mode",
            ] {
                let row = sqlx::query(text).fetch_one(&mut tx.conn).await.map_err(StoreError::sql("ask"))?;
                found.push(row.get::<i64, _>(0));
            }
            Ok(found)
        })
    });
    // FULL: a commit waits for the disk.
    assert_eq!(settings.await.unwrap(), [2, 1]);
}
