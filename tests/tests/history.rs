//! What was said lasts: it is found, it is carried away and back, and it outlives the machine.

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person};
use serde_json::Value;

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["text"].as_str()).collect()
}

#[tokio::test]
async fn what_was_said_outlives_the_machine() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::new(&network, "bob@b.localhost")?;
    let registered = bob.ok(&["register", bob.alias(), "--relay", bob.relay_url()]).await?;
    let words = registered[0]["recovery_code"].as_str().context("no recovery code")?;
    alice.befriend(&bob).await?;
    alice.send(&bob, "the cellar key is under the pot").await?;
    bob.expect(&["the cellar key is under the pot"]).await?;

    // While `listen` owns the vault, everything goes through it.
    let listener = bob.listen().await?;
    let found = bob.ok(&["search", "ellar ke", "--with", alice.alias()]).await?;
    ensure!(texts(&found) == ["the cellar key is under the pot"], "{found:?}");
    let file = |name: &str| bob.home().join(name).display().to_string();
    let (backup, letters) = (file("bob.backup"), file("letters.jsonl"));
    let written = bob.ok(&["backup", "create", &backup]).await?;
    ensure!(written[0]["done"] == "written", "{written:?}");
    let verified = bob.ok(&["backup", "verify", &backup]).await?;
    ensure!(verified[0]["tables"] == written[0]["tables"], "{verified:?} after {written:?}");
    bob.ok(&["export", &letters]).await?;
    let imported = bob.ok(&["import", &letters]).await?;
    ensure!(imported[0]["added"] == 0, "{imported:?}");
    let kept = bob.ok(&["retention", alice.alias(), "30"]).await?;
    ensure!(kept[0]["days"] == 30 && kept[0]["deleted"] == 0, "{kept:?}");
    listener.terminate().await?;

    // The machine is gone; the file and the paper are left.
    let restore = ["--profile", "new", "backup", "restore", &backup];
    let restored = bob.run_with_input(&restore, words).await?;
    ensure!(restored.code == Some(0), "{} {:?}", restored.stderr, restored.lines);
    let before = bob.ok(&["history", alice.alias(), "--offline"]).await?;
    let after = bob.ok(&["--profile", "new", "history", alice.alias(), "--offline"]).await?;
    ensure!(texts(&after) == texts(&before) && after.len() == 3, "{after:?} after {before:?}");
    let sent = bob.run(&["--profile", "new", "send", alice.alias(), "it is me"]).await?;
    ensure!((sent.code, sent.error_code()) == (Some(4), Some("not-enrolled")), "{sent:?}");
    // The old one goes on meanwhile.
    bob.send(&alice, "thank you").await?;
    alice.expect(&["thank you"]).await
}
