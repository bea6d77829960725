//! Ways that are blocked, and what waits because of it.

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Relay};

use crate::{healthy, names, operator, verdict};

#[tokio::test]
async fn quic_is_blocked_but_tcp_passes() -> Result<()> {
    let network = Network::of_two().await?;
    let [_, udp] = network.relay("b.localhost").peer_proxies();
    udp.cut();
    let relay = network.relay("a.localhost");
    let report = names(relay, "b.localhost", "quic", &["quic-v1"], &["let UDP pass"]).await?;
    for check in ["tcp", "hello", "canary"] {
        ensure!(verdict(&report, check) == "ok", "{check}: {report:#}");
    }
    udp.mend();
    healthy(relay, "b.localhost").await?;
    Ok(())
}

#[tokio::test]
async fn tcp_is_blocked_but_quic_passes() -> Result<()> {
    let network = Network::of_two().await?;
    let [tcp, _] = network.relay("b.localhost").peer_proxies();
    tcp.cut();
    let relay = network.relay("a.localhost");
    let report = names(relay, "b.localhost", "tcp", &["/tcp/"], &["let TCP pass"]).await?;
    for check in ["quic", "hello", "canary"] {
        ensure!(verdict(&report, check) == "ok", "{check}: {report:#}");
    }
    tcp.mend();
    healthy(relay, "b.localhost").await?;
    Ok(())
}

#[tokio::test]
async fn quic_and_tcp_are_blocked() -> Result<()> {
    let network = Network::of_two().await?;
    for proxy in network.relay("b.localhost").peer_proxies() {
        proxy.cut();
    }
    let relay = network.relay("a.localhost");
    let found = ["nothing answers", "QUIC or TCP"];
    let report =
        names(relay, "b.localhost", "addresses", &found, &["whether its relay runs", "firewall"]).await?;
    ensure!(verdict(&report, "quic") == "wrong" && verdict(&report, "tcp") == "wrong", "{report:#}");
    ensure!(verdict(&report, "manifest") == "ok", "{report:#}");
    ensure!(verdict(&report, "hello") == "skipped" && verdict(&report, "canary") == "skipped", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn what_waits_for_ten_minutes_is_stuck() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let [a, b] = ["a.localhost", "b.localhost"].map(|domain| network.relay(domain));
    b.terminate().await?;
    alice.send(&bob, "into the silence").await?;
    let (_, report) = operator(a, &["doctor", "b.localhost"]).await?;
    ensure!(verdict(&report, "backlog") == "ok", "it has waited for a moment: {report:#}");

    a.terminate().await?;
    age_all(a).await?;
    a.start().await?;
    let (_, report) = operator(a, &["doctor", "b.localhost"]).await?;
    let checks = report["checks"].as_array().into_iter().flatten();
    let backlog = checks.clone().find(|check| check["name"] == "backlog").context("no such check")?;
    ensure!(backlog["verdict"] == "wrong", "{report:#}");
    let found = backlog["found"].as_str().unwrap_or_default();
    ensure!(found.contains("wait for it, the oldest for 6"), "{report:#}");
    ensure!(backlog["remedy"].as_str().is_some_and(|text| text.contains("error says why")), "{report:#}");
    Ok(())
}

/// Makes all that waits at a relay that does not run ten minutes older.
async fn age_all(relay: &Relay) -> Result<()> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(relay.data().join("relay.db"));
    let mut database = sqlx::ConnectOptions::connect(&options).await?;
    let older = "UPDATE items SET received = received - 600000 WHERE id IN (SELECT item FROM outbox)";
    let aged = sqlx::query(older).execute(&mut database).await?.rows_affected();
    ensure!(aged > 0, "nothing waits");
    Ok(sqlx::Connection::close(database).await?)
}
