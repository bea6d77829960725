//! `posthouse-relay peers`: prepared faults, each of which the doctor names with what to do; and rules on other relays.
//!
//! The relays are real, and so are the sockets; only where a relay must be wrong in a way that a real one cannot be is it
//! one of the test's own making.

mod peer;
mod rules;
mod ways;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use posthouse_relay::config::Config;
use posthouse_relay::server::Server;
use posthouse_spec::Millis;
use posthouse_tests::{Network, Relay};
use serde_json::Value;

use peer::{Inbox, Manner, Peer};

/// Canaries that are sent one behind the other, to be too many.
const CANARIES: u32 = 30;
/// One that asks no faster than this is answered each time.
const ANSWERED_EVERY: Duration = Duration::from_secs(10);

/// A command of the operator: its exit code, and the JSON that it printed.
pub(crate) async fn operator(relay: &Relay, args: &[&str]) -> Result<(Option<i32>, Value)> {
    let args: Vec<&str> = [&["peers"], args, &["--json"]].concat();
    let output = relay.operate(&args).await?;
    let text = String::from_utf8(output.stdout)?;
    let error = String::from_utf8_lossy(&output.stderr);
    let json =
        serde_json::from_str(&text).with_context(|| format!("{args:?} printed `{text}` and `{error}`"))?;
    Ok((output.status.code(), json))
}

/// Asks the doctor about a relay that is fine.
pub(crate) async fn healthy(relay: &Relay, other: &str) -> Result<Value> {
    let (code, report) = operator(relay, &["doctor", other]).await?;
    ensure!(code == Some(0) && report["healthy"] == true && report["first"].is_null(), "{code:?} {report:#}");
    Ok(report)
}

/// Asks the doctor about a fault, and expects the check that names it, words of what was found, and of what to do.
pub(crate) async fn names(
    relay: &Relay,
    other: &str,
    check: &str,
    found: &[&str],
    remedy: &[&str],
) -> Result<Value> {
    let (code, report) = operator(relay, &["doctor", other]).await?;
    ensure!(code == Some(1) && report["healthy"] == false, "{code:?} {report:#}");
    let first = &report["first"];
    ensure!(
        first["name"] == check && first["verdict"] == "wrong",
        "the first cause is not {check}: {report:#}"
    );
    for (part, words) in [("found", found), ("remedy", remedy)] {
        let text = first[part].as_str().unwrap_or_default();
        for word in words {
            ensure!(text.contains(word), "`{word}` is not in {part}: {report:#}");
        }
    }
    Ok(report)
}

/// What one check of a report came to.
pub(crate) fn verdict<'a>(report: &'a Value, check: &str) -> &'a str {
    let checks = report["checks"].as_array().into_iter().flatten();
    let mut of_name = checks.filter(|found| found["name"] == check);
    of_name.next().and_then(|found| found["verdict"].as_str()).unwrap_or("absent")
}

/// A relay `a.localhost`, and a peer of the test's own that it can find.
async fn beside(domain: &str, manner: Manner) -> Result<(Network, Peer)> {
    let mut network = Network::new()?;
    let peer = Peer::start(domain, manner).await?;
    network.add_override(domain, &peer.url)?;
    network.start("a.localhost").await?;
    Ok((network, peer))
}

#[tokio::test]
async fn nothing_is_wrong_between_two_relays_that_are_fine() -> Result<()> {
    let network = Network::of_two().await?;
    let report = healthy(network.relay("a.localhost"), "b.localhost").await?;
    for check in [
        "relay",
        "policy",
        "conduct",
        "dns",
        "manifest",
        "trust",
        "clock",
        "addresses",
        "quic",
        "tcp",
        "hello",
        "canary",
        "backlog",
    ] {
        ensure!(verdict(&report, check) == "ok", "{check}: {report:#}");
    }
    let words = network.relay("b.localhost").admin(&["peers", "doctor", "a.localhost"]).await?;
    ensure!(words.contains("nothing is wrong between this relay and a.localhost"), "{words}");
    Ok(())
}

#[tokio::test]
async fn the_own_relay_does_not_run() -> Result<()> {
    let network = Network::of_two().await?;
    let relay = network.relay("a.localhost");
    relay.terminate().await?;
    let report =
        names(relay, "b.localhost", "relay", &["no relay runs on"], &["posthouse-relay serve"]).await?;
    ensure!(verdict(&report, "manifest") == "ok" && verdict(&report, "tcp") == "ok", "{report:#}");
    ensure!(verdict(&report, "canary") == "skipped", "{report:#}");
    // What a killed relay has left behind is not taken for one that runs.
    relay.start().await?;
    relay.kill().await?;
    names(relay, "b.localhost", "relay", &["no relay runs on"], &["serve"]).await?;
    relay.start().await?;
    healthy(relay, "b.localhost").await?;
    Ok(())
}

#[tokio::test]
async fn the_name_does_not_resolve() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let relay = network.relay("a.localhost");
    // Without a resolver it is the same fault, of which the system says something else.
    let found = ["nobody.invalid does not resolve"];
    names(relay, "nobody.invalid", "dns", &found, &["spelling", "A or AAAA record"]).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_serves_the_manifest() -> Result<()> {
    let network = Network::of_two().await?;
    // A port that is taken, so that nobody else gets it, and at which nobody listens.
    let mute = tokio::net::TcpSocket::new_v4()?;
    mute.bind("127.0.0.1:0".parse()?)?;
    network.add_override("b.localhost", &format!("http://{}", mute.local_addr()?))?;
    let relay = network.relay("a.localhost");
    names(relay, "b.localhost", "manifest", &["no answer from", "refused"], &["overrides file"]).await?;
    Ok(())
}

#[tokio::test]
async fn whoever_serves_the_manifest_speaks_no_tls() -> Result<()> {
    let network = Network::of_two().await?;
    let plain = network.relay("b.localhost").http_url();
    network.add_override("b.localhost", &plain.replace("http://", "https://"))?;
    let relay = network.relay("a.localhost");
    let report = names(relay, "b.localhost", "manifest", &["https://127.0.0.1"], &["overrides file"]).await?;
    let found = report["first"]["found"].as_str().unwrap_or_default();
    ensure!(found.contains("corrupt") || found.contains("TLS") || found.contains("certificate"), "{found}");
    Ok(())
}

#[tokio::test]
async fn the_certificate_is_nobodys() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let folder = network.folder().join("elsewhere");
    std::fs::create_dir_all(&folder)?;
    let pair = rcgen::generate_simple_self_signed(vec!["b.localhost".into(), "127.0.0.1".into()])?;
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem())?;
    std::fs::write(&key, pair.signing_key.serialize_pem())?;
    let mut config = Config { domain: "b.localhost".into(), data: folder.join("data"), ..Config::default() };
    (config.http.listen, config.peers.listen) = ("127.0.0.1:0".into(), "127.0.0.1:0".into());
    (config.http.certificate, config.http.key) = (Some(certificate), Some(key));
    let clock = Arc::new(|| Millis(1_800_000_000_000));
    let server = Server::bind(config.settings()?, clock).await?;
    network.add_override("b.localhost", &server.ready().http)?;
    let relay = network.relay("a.localhost");
    names(relay, "b.localhost", "manifest", &["certificate"], &["renew it, for this name"]).await?;
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn the_manifest_is_another_relays() -> Result<()> {
    let mut network = Network::of_two().await?;
    network.start("c.localhost").await?;
    network.add_override("b.localhost", &network.relay("c.localhost").http_url())?;
    let relay = network.relay("a.localhost");
    let found = ["wrong-domain", "c.localhost"];
    names(relay, "b.localhost", "manifest", &found, &["leads to the relay of c.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_manifests_signature_does_not_hold() -> Result<()> {
    let (network, peer) = beside("b.localhost", Manner::default()).await?;
    // The last byte is one of the signature's.
    peer.spoil(|bytes| *bytes.last_mut().expect("a manifest is not empty") ^= 1);
    let relay = network.relay("a.localhost");
    names(relay, peer.domain(), "manifest", &["signature"], &["do not repin"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_manifest_does_not_follow_the_pinned_one() -> Result<()> {
    let network = Network::of_two().await?;
    let relay = network.relay("a.localhost");
    healthy(relay, "b.localhost").await?;
    let impostor = Peer::start("b.localhost", Manner::default()).await?;
    network.add_override("b.localhost", &impostor.url)?;
    let report =
        names(relay, "b.localhost", "trust", &[], &["peers repin b.localhost", "ask the operator"]).await?;
    ensure!(verdict(&report, "manifest") == "ok", "it speaks well for itself: {report:#}");
    // At the operator's word, and only then, is it believed.
    let (code, pinned) = operator(relay, &["repin", "b.localhost"]).await?;
    ensure!(code == Some(0) && pinned["manifest"]["client_url"] == impostor.url.as_str(), "{pinned:#}");
    let (_, report) = operator(relay, &["doctor", "b.localhost"]).await?;
    ensure!(verdict(&report, "trust") == "ok", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn two_manifests_have_one_position() -> Result<()> {
    let (network, peer) = beside("b.localhost", Manner::default()).await?;
    let relay = network.relay("a.localhost");
    let (_, before) = operator(relay, &["doctor", peer.domain()]).await?;
    ensure!(verdict(&before, "trust") == "ok", "{before:#}");
    peer.equivocate();
    names(relay, peer.domain(), "trust", &["equivocation"], &["peers repin"]).await?;
    let (_, shown) = operator(relay, &["show", peer.domain()]).await?;
    ensure!(shown["evidence"][0]["seq"] == 1 && shown["evidence"][0]["settled"] == false, "{shown:#}");
    Ok(())
}

#[tokio::test]
async fn no_node_key_is_good_any_more() -> Result<()> {
    let (network, peer) = beside("b.localhost", Manner { good_for_ms: 0, ..Manner::default() }).await?;
    let relay = network.relay("a.localhost");
    let report = names(relay, peer.domain(), "trust", &["node keys"], &["start its relay"]).await?;
    ensure!(verdict(&report, "hello") == "skipped", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn the_clocks_are_apart() -> Result<()> {
    let (network, peer) = beside("b.localhost", Manner { ahead_ms: 600_000, ..Manner::default() }).await?;
    let relay = network.relay("a.localhost");
    let found = ["the clock of b.localhost is", "ahead of"];
    let report = names(relay, peer.domain(), "clock", &found, &["NTP"]).await?;
    ensure!(verdict(&report, "tcp") == "ok" && verdict(&report, "hello") == "wrong", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn the_other_operator_denies_this_relay() -> Result<()> {
    let network = Network::of_two().await?;
    let [a, b] = ["a.localhost", "b.localhost"].map(|domain| network.relay(domain));
    let (code, changed) = operator(b, &["deny", "a.localhost"]).await?;
    ensure!(code == Some(0) && changed["permitted"] == false, "{changed:#}");
    let found = ["not-allowed", "the operator of b.localhost"];
    names(a, "b.localhost", "hello", &found, &["ask the operator of b.localhost", "peers allow a.localhost"])
        .await?;
    // And from the other side it is the own rule.
    names(b, "a.localhost", "policy", &["you deny a.localhost"], &["peers allow a.localhost"]).await?;
    operator(b, &["allow", "a.localhost"]).await?;
    healthy(a, "b.localhost").await?;
    Ok(())
}

#[tokio::test]
async fn a_peer_takes_calls_but_stores_nothing() -> Result<()> {
    let (network, peer) = beside("b.localhost", Manner::default()).await?;
    let relay = network.relay("a.localhost");
    let found = ["says hello, but has acknowledged nothing"];
    let report = names(relay, peer.domain(), "canary", &found, &["log", "disk"]).await?;
    ensure!(verdict(&report, "hello") == "ok", "{report:#}");
    let (_, list) = operator(relay, &["list"]).await?;
    ensure!(list[0]["backlog"][0]["class"] == "control" && list[0]["backlog"][0]["items"] == 1, "{list:#}");
    // Asking again makes the lane no longer.
    names(relay, peer.domain(), "canary", &found, &[]).await?;
    let (_, list) = operator(relay, &["list"]).await?;
    ensure!(list[0]["backlog"][0]["items"] == 1, "{list:#}");
    Ok(())
}

#[tokio::test]
async fn a_peer_stores_but_its_answer_does_not_come_back() -> Result<()> {
    let manner = Manner { inbox: Inbox::Swallows, ..Manner::default() };
    let (network, peer) = beside("b.localhost", manner).await?;
    let relay = network.relay("a.localhost");
    let found = ["was stored there", "answer has not come back"];
    names(relay, peer.domain(), "canary", &found, &["the way back", "peers doctor"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_peer_is_too_old_for_canaries() -> Result<()> {
    let manner = Manner { inbox: Inbox::Refuses, ..Manner::default() };
    let (network, peer) = beside("b.localhost", manner).await?;
    let relay = network.relay("a.localhost");
    let found = ["refused it", "invalid-item", "messages may pass all the same"];
    names(relay, peer.domain(), "canary", &found, &["upgrade"]).await?;
    Ok(())
}

#[tokio::test]
async fn canaries_are_answered_six_times_a_minute() -> Result<()> {
    let network = Network::of_two().await?;
    let relay = network.relay("a.localhost");
    let began = Instant::now();
    // Somebody who is slow gets a few more through.
    for _ in 0..CANARIES {
        let (_, report) = operator(relay, &["doctor", "b.localhost"]).await?;
        if verdict(&report, "canary") == "wrong" {
            let found = report["first"]["found"].as_str().unwrap_or_default();
            ensure!(found.contains("too many canaries"), "{report:#}");
            return Ok(());
        }
    }
    let took = began.elapsed();
    ensure!(took > ANSWERED_EVERY * CANARIES, "{CANARIES} canaries were answered within {took:?}");
    Ok(())
}

#[tokio::test]
async fn there_is_no_common_version() -> Result<()> {
    let (network, peer) = beside("b.localhost", Manner { versions: (900, 901), ..Manner::default() }).await?;
    let relay = network.relay("a.localhost");
    names(relay, peer.domain(), "hello", &["no-common-version", "900"], &["upgrade the older one"]).await?;
    Ok(())
}
