//! Keys that are replaced under way: people write on, other relays and clients follow by themselves, and whoever has an
//! old key has nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Relay};
use serde_json::Value;

/// Texts that each side writes while one key is replaced.
const TEXTS: usize = 40;
/// How often the other relay's word is asked for that is waited for.
const LOOKS: u32 = 600;
/// How long between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Every way of replacing a key.
const ROTATIONS: [&[&str]; 4] = [
    &["keys", "rotate", "node"],
    &["keys", "rotate", "ordering"],
    &["keys", "rotate", "root"],
    &["keys", "rotate", "node", "--now"],
];

fn texts(of: &str, step: usize) -> Vec<String> {
    (0..TEXTS).map(|n| format!("{of} {step}.{n}")).collect()
}

/// Replaces a key, and gives what the command has said of it.
async fn rotate(relay: &Relay, args: &[&str]) -> Result<Value> {
    let said = relay.admin(&[args, &["--json"]].concat()).await?;
    serde_json::from_str(&said).with_context(|| format!("{said:?}"))
}

/// The keys as they are listed, by role.
async fn key(relay: &Relay, role: &str) -> Result<Value> {
    let said: Value = serde_json::from_str(&relay.admin(&["keys", "list", "--json"]).await?)?;
    let keys = said["keys"].as_array().context("no keys")?;
    Ok(keys.iter().find(|key| key["role"] == role).cloned().unwrap_or_default())
}

/// Waits until a relay's log has a line with all these words, from a place on.
async fn logged(relay: &Relay, from: usize, words: &[&str]) -> Result<()> {
    for _ in 0..LOOKS {
        let log = fs::read_to_string(relay.log())?;
        if log[from.min(log.len())..].lines().any(|line| words.iter().all(|word| line.contains(word))) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    anyhow::bail!("{} never logged {words:?}:\n{}", relay.domain(), posthouse_tests::tail(&relay.log()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy(&entry.path(), &target)?,
            kind if kind.is_file() => drop(fs::copy(entry.path(), target)?),
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test]
async fn people_write_on_while_every_key_of_the_hub_is_replaced() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    // Bob founds the room, so that his relay orders it.
    bob.befriend(&alice).await?;
    let hub = network.relay("b.localhost");
    let (pid, mut theirs, mut his) = (hub.pid(), Vec::new(), Vec::new());
    for (step, args) in ROTATIONS.into_iter().enumerate() {
        let (a, b) = (texts("alice", step), texts("bob", step));
        let one = alice.start_sending(&bob, &a).await?;
        let other = bob.start_sending(&alice, &b).await?;
        let done = rotate(hub, args).await?;
        ensure!(done["running"] == true && done["before"] != done["after"], "{done}");
        one.finish().await?;
        other.finish().await?;
        theirs.extend(a);
        his.extend(b);
        let wanted: Vec<&str> = his.iter().map(String::as_str).collect();
        alice.expect(&wanted).await?;
        let wanted: Vec<&str> = theirs.iter().map(String::as_str).collect();
        bob.expect(&wanted).await?;
    }
    ensure!(hub.pid() == pid && hub.is_running(), "the process was started anew");
    // Nothing lost, nothing twice: behind the one greeting each.
    ensure!(alice.history(&bob, "in").await?[1..] == his, "{:?}", alice.history(&bob, "in").await?);
    ensure!(bob.history(&alice, "in").await?[1..] == theirs, "{:?}", bob.history(&alice, "in").await?);
    Ok(())
}

#[tokio::test]
async fn rooms_are_founded_and_changed_after_every_key_was_replaced() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    let hub = network.relay("b.localhost");
    for (n, args) in ROTATIONS.into_iter().enumerate() {
        rotate(hub, args).await?;
        // Registered under the new key, or before it; founded here, or there.
        let carol = Person::register(&network, &format!("carol{n}@a.localhost")).await?;
        let dave = Person::register(&network, &format!("dave{n}@b.localhost")).await?;
        bob.befriend(&carol).await?;
        carol.befriend(&dave).await?;
        alice.befriend(&dave).await?;
    }
    bob.befriend(&alice).await
}

#[tokio::test]
async fn a_relay_that_was_down_follows_two_roots_and_a_new_node() -> Result<()> {
    let network = Network::of_two().await?;
    let (away, hub) = (network.relay("a.localhost"), network.relay("b.localhost"));
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    bob.befriend(&alice).await?;
    away.terminate().await?;
    for args in [ROTATIONS[2], ROTATIONS[3], ROTATIONS[2], ROTATIONS[1]] {
        rotate(hub, args).await?;
    }
    bob.send(&alice, "much has changed").await?;
    away.start().await?;
    alice.expect(&["much has changed"]).await?;
    alice.send(&bob, "not between us").await?;
    bob.expect(&["not between us"]).await?;
    let carol = Person::register(&network, "carol@a.localhost").await?;
    carol.befriend(&bob).await
}

#[tokio::test]
async fn the_keys_of_a_relay_that_is_down_are_replaced_in_its_folder() -> Result<()> {
    let network = Network::of_two().await?;
    let (away, hub) = (network.relay("a.localhost"), network.relay("b.localhost"));
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    bob.befriend(&alice).await?;
    let before = key(hub, "node").await?;
    hub.terminate().await?;
    for args in ROTATIONS {
        let done = rotate(hub, args).await?;
        ensure!(done["running"] == false, "{done}");
    }
    ensure!(key(hub, "node").await?["peer_id"] != before["peer_id"], "{before}");
    ensure!(key(hub, "old node").await?.is_null(), "--now leaves no older key");
    alice.send(&bob, "while you change your locks").await?;
    hub.start().await?;
    bob.expect(&["while you change your locks"]).await?;
    bob.send(&alice, "new keys for all doors").await?;
    alice.expect(&["new keys for all doors"]).await?;
    // A second command on the folder of the relay that runs is for that relay, never beside it.
    let list = hub.admin(&["keys", "list"]).await?;
    ensure!(list.contains("next root") && list.contains("12D3Koo"), "{list}");
    let keys = fs::read_to_string(hub.data().join("keys.toml"))?;
    for secret in keys.lines().filter_map(|line| line.strip_prefix("seed = ")) {
        ensure!(!list.contains(secret.trim_matches('"')), "a secret is shown");
    }
    ensure!(away.is_running(), "and nobody else had anything to do");
    Ok(())
}

#[tokio::test]
async fn a_thief_with_all_old_keys_has_nothing() -> Result<()> {
    let network = Network::of_two().await?;
    let (a, b) = (network.relay("a.localhost"), network.relay("b.localhost"));
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    bob.befriend(&alice).await?;
    // The thief has a copy of everything; then the operator replaces every key.
    b.terminate().await?;
    let (real, stolen) = (b.data(), b.folder().join("stolen"));
    copy(&real, &stolen)?;
    b.start().await?;
    for args in [ROTATIONS[2], ROTATIONS[3], ROTATIONS[1]] {
        rotate(b, args).await?;
    }
    alice.send(&bob, "is it you?").await?;
    bob.expect(&["is it you?"]).await?;
    // The thief takes the real one's place, name, ports and all, with the old manifest.
    b.terminate().await?;
    let kept = b.folder().join("kept");
    fs::rename(&real, &kept)?;
    fs::rename(&stolen, &real)?;
    let from = fs::read_to_string(a.log())?.len();
    b.start().await?;
    alice.send(&bob, "for bob alone").await?;
    logged(a, from, &["manifest-chain"]).await?;
    // Then with a newer one than anybody has, by the old root, which another has followed.
    b.terminate().await?;
    for _ in 0..4 {
        rotate(b, &["keys", "rotate", "node"]).await?;
    }
    let from = fs::read_to_string(a.log())?.len();
    b.start().await?;
    logged(a, from, &["manifest-chain", "root-changed"]).await?;
    // The real one comes back, and finds what was meant for it.
    b.terminate().await?;
    fs::rename(&real, &stolen)?;
    fs::rename(&kept, &real)?;
    b.start().await?;
    bob.expect(&["is it you?", "for bob alone"]).await?;
    bob.send(&alice, "it is me").await?;
    alice.expect(&["it is me"]).await
}

#[tokio::test]
async fn a_store_that_is_gone_is_not_replaced_without_a_word() -> Result<()> {
    let network = Network::of_two().await?;
    let relay = network.relay("a.localhost");
    relay.terminate().await?;
    for entry in fs::read_dir(relay.data())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("relay.db") {
            fs::remove_file(entry.path())?;
        }
    }
    let refused = relay.start().await.err().context("it starts with an empty store")?.to_string();
    ensure!(refused.contains("restore it from a backup") && refused.contains("--new-store"), "{refused}");
    ensure!(!relay.data().join("relay.db").exists(), "an empty store was left behind");
    Ok(())
}
