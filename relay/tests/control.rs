//! The control socket: who reaches it, and where it may lie.
#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::path::Path;
use std::sync::Arc;

use posthouse_relay::config::Config;
use posthouse_relay::control::{ControlError, Running, SOCKET};
use posthouse_relay::server::{Server, StartError};
use posthouse_spec::Millis;

async fn serve(data: &Path) -> Result<Server, StartError> {
    let mut config = Config { domain: "a.localhost".into(), data: data.to_owned(), ..Config::default() };
    config.http.listen = "127.0.0.1:0".into();
    config.peers.listen = "127.0.0.1:0".into();
    Server::bind(config.settings().unwrap(), Arc::new(|| Millis(1_800_000_000_000))).await
}

#[tokio::test]
async fn a_relay_is_found_by_its_data_folder_for_as_long_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = serve(&data).await.unwrap();
    let status = Running::on(&data).await.unwrap().status().await.unwrap();
    assert_eq!((status.domain.as_str(), status.http.as_str()), ("a.localhost", server.ready().http.as_str()));
    let unknown = Running::on(&data).await.unwrap().get::<serde_json::Value>("/nothing").await;
    assert!(matches!(unknown, Err(ControlError::Refused(why)) if why.to_string().contains("older version")));
    server.shutdown().await;
    assert!(!data.join(SOCKET).exists());
    let gone = Running::on(&data).await.unwrap_err();
    assert!(
        matches!(gone, ControlError::NotRunning(_)) && gone.to_string().contains("posthouse-relay serve")
    );
}

#[tokio::test]
async fn a_path_longer_than_a_sockets_may_be_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a-folder-with-a-name-of-some-length/".repeat(5));
    let server = serve(&data).await.unwrap();
    assert!(data.as_os_str().len() > 107);
    assert_eq!(Running::on(&data).await.unwrap().status().await.unwrap().domain, "a.localhost");
    server.shutdown().await;
    assert!(Running::if_any(&data).await.unwrap().is_none());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced_but_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    drop(std::os::unix::net::UnixListener::bind(data.join(SOCKET)).unwrap());
    assert!(matches!(Running::on(&data).await, Err(ControlError::NotRunning(_))));
    let server = serve(&data).await.unwrap();
    assert!(Running::on(&data).await.is_ok());
    server.shutdown().await;

    std::fs::write(data.join(SOCKET), "somebody's notes").unwrap();
    let refused = serve(&data).await.map(drop).unwrap_err();
    assert!(
        matches!(refused, StartError::Control(_)) && refused.to_string().contains("move it away"),
        "{refused}"
    );
    assert_eq!(std::fs::read_to_string(data.join(SOCKET)).unwrap(), "somebody's notes");
}
