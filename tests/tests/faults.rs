//! Bad input and faults: each says clearly what was tried, why it failed and what to do, and loses nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream as StdTcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Outcome, Person};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

/// The refusal has its own code, exit code and words.
fn fails_with(outcome: &Outcome, exit: i32, code: &str, words: &[&str]) -> Result<()> {
    ensure!(outcome.code == Some(exit), "expected exit code {exit}: {outcome:?}");
    ensure!(outcome.error_code() == Some(code), "expected {code}: {outcome:?}");
    for word in words {
        ensure!(outcome.stderr.contains(word), "`{word}` is not said: {}", outcome.stderr);
    }
    Ok(())
}

async fn alone() -> Result<(Network, Person)> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    Ok((network, alice))
}

async fn serves(network: &Network) -> Result<()> {
    let answer = reqwest::get(format!("{}/healthz", network.relay("a.localhost").http_url())).await?;
    ensure!(answer.status().is_success(), "/healthz says {}", answer.status());
    Ok(())
}

#[tokio::test]
async fn a_wrong_passphrase_changes_nothing() -> Result<()> {
    let (_network, alice) = alone().await?;
    alice.set_passphrase("guess");
    fails_with(&alice.run(&["whoami"]).await?, 5, "wrong-passphrase", &["passphrase is wrong"])?;
    alice.set_passphrase(posthouse_tests::PASSPHRASE);
    alice.ok(&["whoami"]).await?;
    Ok(())
}

#[tokio::test]
async fn without_a_vault_nothing_works_but_register() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let nobody = Person::new(&network, "nobody@a.localhost")?;
    fails_with(&nobody.run(&["inbox"]).await?, 5, "no-vault", &["register"])
}

#[tokio::test]
async fn what_is_mistyped_is_a_usage_error() -> Result<()> {
    let (_network, alice) = alone().await?;
    for args in
        [&["send", "not an@alias", "x"][..], &["frobnicate"], &["send", "x@b.localhost", "x", "--lines"]]
    {
        let outcome = alice.run(args).await?;
        ensure!(outcome.code == Some(2) && !outcome.stderr.is_empty(), "{args:?}: {outcome:?}");
    }
    // What has no @ is the name of a room.
    fails_with(&alice.run(&["send", "bob", "x"]).await?, 6, "unknown-room", &["bob@b.example"])?;
    fails_with(&alice.run(&["--profile", "../x", "whoami"]).await?, 2, "bad-profile-name", &["profile"])?;
    fails_with(&alice.run(&["send", "alice@a.localhost", "x"]).await?, 2, "own-alias", &["somebody else"])
}

#[tokio::test]
async fn an_unknown_person_is_told_from_an_unknown_relay() -> Result<()> {
    let (mut network, alice) = alone().await?;
    network.start("b.localhost").await?;
    let nobody = alice.run(&["send", "nobody@b.localhost", "hello?"]).await?;
    fails_with(&nobody, 6, "unknown-account", &["nobody@b.localhost"])?;
    ensure!(nobody.of_type("sent")[0]["state"] == "failed", "{nobody:?}");

    let nowhere = alice.run(&["verify", "bob@nowhere.localhost"]).await?;
    ensure!(matches!(nowhere.code, Some(3 | 6)), "{nowhere:?}");
    ensure!(nowhere.stderr.contains("nowhere.localhost"), "{nowhere:?}");
    ensure!(matches!(nowhere.error_code(), Some("unknown-relay" | "relay-unreachable")), "{nowhere:?}");
    Ok(())
}

#[tokio::test]
async fn a_relay_that_does_not_run_is_said_and_the_message_kept() -> Result<()> {
    let (network, alice) = alone().await?;
    network.relay("a.localhost").terminate().await?;
    let sent = alice.run(&["send", "bob@b.localhost", "later"]).await?;
    ensure!(sent.code == Some(0) && sent.of_type("sent")[0]["state"] == "queued", "{sent:?}");
    ensure!(sent.stderr.contains("not sent yet") && sent.stderr.contains("relay"), "{sent:?}");
    let bob = Person::new(&network, "bob@a.localhost")?;
    let registered = bob.run(&["register", "bob@a.localhost", "--relay", bob.relay_url()]).await?;
    fails_with(&registered, 3, "relay-not-running", &["relay"])?;
    network.relay("a.localhost").start().await?;
    let registered = bob.run(&["register", "bob@a.localhost", "--relay", bob.relay_url()]).await?;
    ensure!(registered.code == Some(0), "an interrupted registration goes on: {registered:?}");
    Ok(())
}

#[tokio::test]
async fn an_alias_is_taken_once() -> Result<()> {
    let (network, alice) = alone().await?;
    let other = Person::at_home(&network, "alice@a.localhost", "an-impostor")?;
    let outcome = other.run(&["register", "alice@a.localhost", "--relay", other.relay_url()]).await?;
    fails_with(&outcome, 4, "alias-taken", &["alice"])?;
    let chosen = other.run(&["register", "eve@a.localhost", "--relay", other.relay_url()]).await?;
    ensure!(chosen.code == Some(0), "another name can be chosen: {chosen:?}");
    let again = alice.run(&["register", "alice@a.localhost", "--relay", alice.relay_url()]).await?;
    fails_with(&again, 2, "already-registered", &["--profile"])
}

#[tokio::test]
async fn an_invite_token_must_be_the_right_one() -> Result<()> {
    let mut network = Network::new()?;
    let relay = network.add("a.localhost").await?;
    relay.set_variable("POSTHOUSE_REGISTRATION", "invite");
    relay.start().await?;
    let relay = network.relay("a.localhost");
    let carol = Person::new(&network, "carol@a.localhost")?;
    let register = |token: Option<String>| {
        let carol = &carol;
        async move {
            let mut args = vec!["register", "carol@a.localhost", "--relay", carol.relay_url()];
            if let Some(token) = &token {
                args.extend(["--invite", token]);
            }
            carol.run(&args).await
        }
    };
    fails_with(&register(None).await?, 4, "invalid-invite", &["invite"])?;
    fails_with(&register(Some("made-up".into())).await?, 4, "invalid-invite", &["invite"])?;
    let printed = relay.admin(&["invite", "--uses", "1"]).await?;
    let token = printed.split_whitespace().last().context("no token")?.to_owned();
    let registered = register(Some(token)).await?;
    ensure!(registered.code == Some(0), "{registered:?}");
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    for variable in ["POSTHOUSE_HTTP_LISTEN", "POSTHOUSE_PEERS_LISTEN"] {
        let mut network = Network::new()?;
        let relay = network.add("a.localhost").await?;
        relay.set_variable(variable, &address);
        let error = format!("{:#}", relay.start().await.err().context("the relay started")?);
        ensure!(
            error.contains(&address) || error.contains(&taken.local_addr()?.port().to_string()),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_data_folder_of_a_newer_version_is_left_alone() -> Result<()> {
    let (network, _alice) = alone().await?;
    let relay = network.relay("a.localhost");
    relay.terminate().await?;
    let database = fs::read_dir(relay.data())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3")))
        .context("no database in the data folder")?;
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(&database).connect().await?;
    sqlx::query("UPDATE _sqlx_migrations SET version = version + 9998").execute(&mut conn).await?;
    conn.close().await?;
    let before = fs::read(&database)?;
    let error = format!("{:#}", relay.start().await.err().context("the relay started")?);
    ensure!(error.contains("newer"), "{error}");
    ensure!(fs::read(&database)? == before, "the database was changed");
    Ok(())
}

#[tokio::test]
async fn a_damaged_vault_is_said_and_left_alone() -> Result<()> {
    let (_network, alice) = alone().await?;
    for (file, codes) in [
        ("vault.db", &["vault-damaged", "wrong-passphrase"][..]),
        ("vault.key", &["vault-header-damaged", "wrong-passphrase"]),
    ] {
        let path = alice.profile().join(file);
        let whole = fs::read(&path)?;
        let mut damaged = whole.clone();
        for byte in &mut damaged[whole.len() / 4..whole.len() / 2] {
            *byte ^= 0x55;
        }
        fs::write(&path, &damaged)?;
        let outcome = alice.run(&["history", "bob@b.localhost", "--offline"]).await?;
        ensure!(outcome.code == Some(5), "{file}: {outcome:?}");
        ensure!(outcome.error_code().is_some_and(|code| codes.contains(&code)), "{file}: {outcome:?}");
        ensure!(fs::read(&path)? == damaged, "{file} was changed");
        fs::write(&path, whole)?;
        alice.ok(&["whoami"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn garbage_on_the_relays_ports_harms_nobody() -> Result<()> {
    let (network, alice) = alone().await?;
    let relay = network.relay("a.localhost");
    let [peer_tcp, _] = relay.peer_proxies();
    for address in [relay.client_proxy().address(), peer_tcp.address()] {
        for garbage in [&b"\x00\xff\x16\x03garbage\r\n\r\n"[..], &[0xff; 100_000], b"GET / HTTP/9.9\r\n\r\n"]
        {
            let garbage = garbage.to_vec();
            tokio::task::spawn_blocking(move || {
                let Ok(mut stream) = StdTcpStream::connect(address) else { return };
                // What the relay does with the connection is its own affair; that it lives is checked below.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = stream.write_all(&garbage);
                let _ = stream.read(&mut [0; 1024]);
            })
            .await?;
        }
    }
    serves(&network).await?;
    alice.ok(&["inbox"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_web_socket_wants_a_token() -> Result<()> {
    let (network, _alice) = alone().await?;
    let url = network.relay("a.localhost").http_url().replace("http://", "ws://");
    let refused = tokio_tungstenite::connect_async(format!("{url}/v1/socket")).await;
    let error = refused.err().context("the socket was opened without a token")?.to_string();
    ensure!(error.contains("401"), "{error}");
    let answer = reqwest::Client::new()
        .get(format!("{}/v1/account", network.relay("a.localhost").http_url()))
        .bearer_auth("made up")
        .send()
        .await?;
    ensure!(answer.status() == 401, "{}", answer.status());
    ensure!(answer.text().await?.contains("unauthenticated"), "the refusal has no name");
    Ok(())
}

#[tokio::test]
async fn garbage_on_the_control_socket_harms_nobody() -> Result<()> {
    let (_network, alice) = alone().await?;
    let mut listener = alice.listen().await?;
    listener.next_of("caught-up").await?;
    let path = alice.profile().join("control.sock");
    let mut stream = UnixStream::connect(&path).await?;
    stream.write_all(b"garbage\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.contains("failed") && answer.contains("malformed"), "{answer}");
    let mut endless = UnixStream::connect(&path).await?;
    // The listener hangs up somewhere in it.
    let _ = endless.write_all(&vec![b'x'; 8 * 1024 * 1024]).await;
    drop(endless);
    alice.ok(&["whoami"]).await?;
    listener.terminate().await
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_before_it_is_stored() -> Result<()> {
    let (_network, alice) = alone().await?;
    let text = "x".repeat(48 * 1024 + 1);
    let outcome = alice.run_with_input(&["send", "bob@b.localhost", "-"], &text).await?;
    fails_with(&outcome, 2, "text-too-long", &["in parts"])?;
    let history = alice.run(&["history", "bob@b.localhost", "--offline"]).await?;
    ensure!(history.of_type("message").is_empty(), "{history:?}");
    Ok(())
}
