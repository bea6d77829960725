//! Mailbags: what is left for a relay that is down arrives at its return, even if nobody is there any more who sent it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use posthouse_tests::{Network, Person, Relay, tail};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Row as _};

/// How often a relay is asked for its counts while a test waits for one.
const LOOK: Duration = Duration::from_millis(50);
/// How long a count may take to become what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const SENDER: &str = "a.localhost";
const RECEIVER: &str = "b.localhost";
const HOLDER: &str = "h.localhost";
const SECOND: &str = "i.localhost";
const THIRD: &str = "c.localhost";

const LEFT: &str = "posthouse_mailbag_items_left_total";
const NOT_LEFT: &str = "posthouse_mailbags_not_left_total";
const HELD: &str = "posthouse_mailbags_held";
const COLLECTED: &str = "posthouse_mailbags_collected_total";
const REFUSED: &str = "posthouse_mailbags_refused_total";

/// Alice at one relay and Bob at another one, which has holders; friends, while all is well.
struct Story {
    network: Network,
    alice: Person,
    bob: Person,
}

impl Story {
    /// The relays in `holders` hold for Bob's relay where `holding` says so; his manifest names all of them.
    async fn begin(holders: &[&str], holding: &[&str], more: &[(&str, &str)]) -> Result<Self> {
        let mut network = Network::new()?;
        for holder in holders {
            let relay = network.add(holder).await?;
            if holding.contains(holder) {
                relay.set_variable("POSTHOUSE_MAILBAGS_HOLD_FOR", RECEIVER);
            }
            for (name, value) in more {
                relay.set_variable(name, value);
            }
            relay.start().await?;
        }
        let relay = network.add(SENDER).await?;
        relay.set_variable("POSTHOUSE_MAILBAGS_LEAVE_AFTER_SECONDS", "1");
        relay.start().await?;
        let relay = network.add(RECEIVER).await?;
        relay.set_variable("POSTHOUSE_MAILBAGS_HOLDERS", &holders.join(","));
        relay.start().await?;
        let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
        let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
        alice.befriend(&bob).await?;
        let story = Self { network, alice, bob };
        // What is left later is counted, and nothing of their acquaintance may be among it.
        story.drained(RECEIVER, SENDER).await?;
        story.drained(SENDER, RECEIVER).await?;
        Ok(story)
    }

    fn relay(&self, domain: &str) -> &Relay {
        self.network.relay(domain)
    }

    /// Waits until nothing waits at one relay for another one. Asked of the store itself: the gauges lag behind.
    async fn drained(&self, from: &str, to: &str) -> Result<()> {
        let relay = self.relay(from);
        let mut looks = tokio::time::interval(LOOK);
        let waiting = async {
            loop {
                looks.tick().await;
                let shown = relay.admin(&["peers", "show", to, "--json"]).await?;
                let shown: Value = serde_json::from_str(&shown)?;
                let lanes = shown["backlog"].as_array().context("a backlog is a list")?;
                if lanes.iter().all(|lane| lane["items"] == 0) {
                    return anyhow::Ok(());
                }
            }
        };
        let slow = || format!("the lanes from {from} to {to} do not drain:\n{}", tail(&relay.log()));
        tokio::time::timeout(PATIENCE, waiting).await.with_context(slow)?
    }

    /// Alice writes, each text accepted by her relay.
    async fn write(&self, texts: &[String]) -> Result<()> {
        let input = texts.join("\n");
        let sent = self.alice.run_with_input(&["send", self.bob.alias(), "-", "--lines"], &input).await?;
        let accepted = sent.of_type("sent").iter().filter(|line| line["state"] == "accepted").count();
        ensure!(accepted == texts.len(), "{accepted} of {} were accepted: {}", texts.len(), sent.stderr);
        Ok(())
    }

    /// Bob has read these, once each, in this order, behind what made them friends.
    async fn bob_has_exactly(&self, texts: &[String]) -> Result<()> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.bob.expect_from(&self.alice, &texts).await?;
        let all = self.bob.received(self.alice.alias(), usize::MAX).await?;
        let expected: Vec<&str> = ["hello"].into_iter().chain(texts).collect();
        ensure!(all == expected, "Bob has {} texts: {all:.120?}", all.len());
        Ok(())
    }

    /// Alice's relay dies, and its data with it.
    async fn sender_dies_for_good(&self) -> Result<()> {
        let relay = self.relay(SENDER);
        relay.kill().await?;
        fs::remove_dir_all(relay.data()).context("deleting the dead relay's data")
    }
}

fn letters(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("letter {n} into the silence")).collect()
}

/// The sum of a metric over all its labels that hold `label`.
async fn count(relay: &Relay, name: &str, label: &str) -> Result<f64> {
    let text = reqwest::get(format!("{}/metrics", relay.direct_url())).await?.text().await?;
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, labels) = series.split_once('{').unwrap_or((series, ""));
        (found == name && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    Ok(values.sum())
}

/// Waits until a metric is as wanted.
async fn until(relay: &Relay, name: &str, label: &str, wanted: impl Fn(f64) -> bool) -> Result<()> {
    let mut looks = tokio::time::interval(LOOK);
    let waiting = async {
        loop {
            looks.tick().await;
            if wanted(count(relay, name, label).await?) {
                return anyhow::Ok(());
            }
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(done) => done,
        Err(_) => {
            let now = count(relay, name, label).await?;
            bail!(
                "{name}{{{label}}} of {} stays at {now}; its log ends:\n{}",
                relay.domain(),
                tail(&relay.log())
            )
        }
    }
}

fn has_logged(relay: &Relay, parts: &[&str]) -> Result<bool> {
    let log = fs::read_to_string(relay.log())?;
    Ok(log.lines().any(|line| parts.iter().all(|part| line.contains(part))))
}

/// Waits until a line of the log has all parts.
async fn until_log(relay: &Relay, parts: &[&str]) -> Result<()> {
    let mut looks = tokio::time::interval(LOOK);
    let waiting = async {
        while !has_logged(relay, parts)? {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| log_says(relay, parts))
}

fn log_says(relay: &Relay, parts: &[&str]) -> Result<()> {
    ensure!(
        has_logged(relay, parts)?,
        "the log of {} says nowhere {parts:?}; it ends:\n{}",
        relay.domain(),
        tail(&relay.log())
    );
    Ok(())
}

#[tokio::test]
async fn a_sends_and_dies_for_good_and_b_has_it_at_its_return() -> Result<()> {
    let story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    story.relay(RECEIVER).terminate().await?;
    let texts = letters(3);
    story.write(&texts).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 3.0).await?;
    ensure!(count(story.relay(HOLDER), HELD, "").await? >= 1.0, "the holder holds nothing");
    story.sender_dies_for_good().await?;

    story.relay(RECEIVER).start().await?;
    story.bob_has_exactly(&texts).await?;
    until(story.relay(HOLDER), HELD, "", |held| held == 0.0).await?;
    ensure!(count(story.relay(RECEIVER), COLLECTED, "").await? >= 1.0, "nothing was collected");
    Ok(())
}

#[tokio::test]
async fn what_comes_by_lane_and_by_mailbag_is_there_once() -> Result<()> {
    let story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    story.relay(RECEIVER).terminate().await?;
    let mut texts = letters(5);
    story.write(&texts[..3]).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 3.0).await?;
    // New items are left later, behind those.
    story.write(&texts[3..]).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 5.0).await?;
    ensure!(count(story.relay(SENDER), LEFT, HOLDER).await? < 6.0, "something was left twice");

    story.relay(RECEIVER).start().await?;
    story.bob_has_exactly(&texts).await?;
    until(story.relay(HOLDER), HELD, "", |held| held == 0.0).await?;
    story.drained(SENDER, RECEIVER).await?;
    texts.push("and one more, face to face".into());
    story.write(&texts[5..]).await?;
    story.bob_has_exactly(&texts).await
}

#[tokio::test]
async fn what_a_restored_sender_leaves_is_not_taken_for_what_it_has_lost() -> Result<()> {
    let story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    let anna = Person::register_with_key_file(&story.network, "anna@a.localhost").await?;
    anna.befriend(&story.bob).await?;
    let (sender, receiver) = (story.relay(SENDER), story.relay(RECEIVER));
    sender.terminate().await?;
    let (database, copy) = (sender.data().join("relay.db"), sender.data().join("copy"));
    fs::copy(&database, &copy)?;
    sender.start().await?;
    let lost = letters(3);
    story.write(&lost).await?;
    story.bob_has_exactly(&lost).await?;

    // The restored relay gives the positions of those three anew, while the other one cannot tell it.
    receiver.terminate().await?;
    sender.terminate().await?;
    fs::copy(&copy, &database)?;
    sender.start().await?;
    let texts: Vec<String> = (1..=5).map(|n| format!("{n} after the loss")).collect();
    let input = texts.join("\n");
    anna.run_with_input(&["send", story.bob.alias(), "-", "--lines"], &input).await?;
    until(sender, LEFT, HOLDER, |left| left >= 5.0).await?;

    receiver.start().await?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    story.bob.expect_from(&anna, &texts).await
}

#[tokio::test]
async fn a_holder_that_crashes_keeps_what_it_holds() -> Result<()> {
    let story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    story.relay(RECEIVER).terminate().await?;
    let texts = letters(3);
    story.write(&texts).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 3.0).await?;
    story.relay(HOLDER).kill().await?;
    story.sender_dies_for_good().await?;

    // The receiver is back first, and finds nobody; it asks again when the holder is there.
    story.relay(RECEIVER).start().await?;
    story.relay(HOLDER).start().await?;
    story.bob_has_exactly(&texts).await
}

#[tokio::test]
async fn a_full_holder_says_so_and_the_outbox_keeps_the_rest() -> Result<()> {
    let one = [("POSTHOUSE_MAILBAGS_QUOTA_MB", "1"), ("POSTHOUSE_MAILBAGS_QUOTA_MB_PER_ORIGIN", "1")];
    let story = Story::begin(&[HOLDER], &[HOLDER], &one).await?;
    story.relay(RECEIVER).terminate().await?;
    let page = "a long letter ".repeat(3000);
    let texts: Vec<String> = (1..=40).map(|n| format!("{n}: {}", page.trim_end())).collect();
    story.write(&texts).await?;
    until(story.relay(SENDER), NOT_LEFT, HOLDER, |refused| refused >= 1.0).await?;
    let left = count(story.relay(SENDER), LEFT, HOLDER).await?;
    ensure!((1.0..40.0).contains(&left), "{left} of 40 were left");
    log_says(story.relay(SENDER), &["did not take a mailbag", HOLDER, "holder-full"])?;
    log_says(story.relay(HOLDER), &["not held", SENDER, "holder-full"])?;

    story.relay(RECEIVER).start().await?;
    story.bob_has_exactly(&texts).await
}

#[tokio::test]
async fn a_bag_that_was_altered_is_refused_by_name_and_in_nobodys_way() -> Result<()> {
    let story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    story.relay(RECEIVER).terminate().await?;
    let texts = letters(3);
    story.write(&texts).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 3.0).await?;
    let holder = story.relay(HOLDER);
    holder.terminate().await?;
    alter_bags(holder).await?;
    holder.start().await?;

    story.relay(RECEIVER).start().await?;
    until(story.relay(RECEIVER), REFUSED, "mailbag-seal", |refused| refused >= 1.0).await?;
    log_says(story.relay(RECEIVER), &["a mailbag does not open", SENDER, HOLDER, "mailbag-seal"])?;
    // Its own relay has it still.
    story.bob_has_exactly(&texts).await?;
    // Who could only not open it, because a key is missing, does not want it thrown away.
    ensure!(count(holder, HELD, "").await? >= 1.0, "what does not open was dropped");
    Ok(())
}

/// Turns one bit of what lies sealed on the holder's disk.
async fn alter_bags(holder: &Relay) -> Result<()> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(holder.data().join("relay.db"));
    let mut database = options.connect().await?;
    let bags = sqlx::query("SELECT id, sealed FROM mailbags").fetch_all(&mut database).await?;
    ensure!(!bags.is_empty(), "the holder holds nothing");
    for bag in bags {
        let mut sealed: Vec<u8> = bag.try_get(1)?;
        let middle = sealed.len() / 2;
        sealed[middle] ^= 1;
        let altering = sqlx::query("UPDATE mailbags SET sealed = ? WHERE id = ?");
        altering.bind(sealed).bind(bag.try_get::<i64, _>(0)?).execute(&mut database).await?;
    }
    sqlx::Connection::close(database).await?;
    Ok(())
}

#[tokio::test]
async fn a_gap_keeps_nobody_else_waiting() -> Result<()> {
    let mut story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    let relay = story.network.add(THIRD).await?;
    relay.set_variable("POSTHOUSE_MAILBAGS_LEAVE_AFTER_SECONDS", "1");
    relay.start().await?;
    let carol = Person::register_with_key_file(&story.network, "carol@c.localhost").await?;
    carol.befriend(&story.bob).await?;
    story.drained(RECEIVER, THIRD).await?;
    story.drained(THIRD, RECEIVER).await?;
    story.relay(RECEIVER).terminate().await?;
    let texts = letters(3);
    story.write(&texts[..1]).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 1.0).await?;
    story.write(&texts[1..]).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 3.0).await?;
    carol.send(&story.bob, "from somebody else").await?;
    until(story.relay(THIRD), LEFT, HOLDER, |left| left >= 1.0).await?;
    // The first of Alice's bags is lost with her relay out of reach: the later ones lie ahead of the cursor.
    for sender in [SENDER, THIRD] {
        story.relay(sender).terminate().await?;
    }
    let holder = story.relay(HOLDER);
    holder.terminate().await?;
    let lost = "DELETE FROM mailbags WHERE id = (SELECT min(id) FROM mailbags WHERE origin = 'a.localhost')";
    ensure!(alter(holder, lost).await? == 1, "there is no first bag");
    holder.start().await?;

    story.relay(RECEIVER).start().await?;
    story.bob.expect_from(&carol, &["from somebody else"]).await?;
    ensure!(count(holder, HELD, "").await? >= 1.0, "what cannot be taken yet was dropped");
    let early = story.bob.received(story.alice.alias(), usize::MAX).await?;
    ensure!(early == ["hello"], "something came out of order: {early:?}");

    story.relay(SENDER).start().await?;
    story.bob_has_exactly(&texts).await
}

#[tokio::test]
async fn a_bag_of_a_relay_that_nobody_can_vouch_for_stays_with_its_holder() -> Result<()> {
    let story = Story::begin(&[HOLDER], &[HOLDER], &[]).await?;
    let receiver = story.relay(RECEIVER);
    receiver.terminate().await?;
    let texts = letters(3);
    story.write(&texts).await?;
    until(story.relay(SENDER), LEFT, HOLDER, |left| left >= 3.0).await?;
    story.relay(SENDER).terminate().await?;
    // A receiver that was restored from a copy older than its acquaintance with the sender.
    alter(receiver, "DELETE FROM pins WHERE domain = 'a.localhost'").await?;

    receiver.start().await?;
    until_log(receiver, &["stay with their holder", SENDER]).await?;
    ensure!(count(story.relay(HOLDER), HELD, "").await? >= 1.0, "what nobody could check was dropped");
    ensure!(count(receiver, REFUSED, "").await? == 0.0, "what nobody could check was refused");

    story.relay(SENDER).start().await?;
    story.bob_has_exactly(&texts).await?;
    until(story.relay(HOLDER), HELD, "", |held| held == 0.0).await
}

/// Changes the store of a relay that does not run; says how many rows.
async fn alter(relay: &Relay, text: &'static str) -> Result<u64> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(relay.data().join("relay.db"));
    let mut database = options.connect().await?;
    let changed = sqlx::query(text).execute(&mut database).await?.rows_affected();
    sqlx::Connection::close(database).await?;
    Ok(changed)
}

#[tokio::test]
async fn a_relay_that_does_not_hold_says_so_and_the_next_one_does() -> Result<()> {
    let story = Story::begin(&[HOLDER, SECOND], &[SECOND], &[]).await?;
    story.relay(RECEIVER).terminate().await?;
    let texts = letters(3);
    story.write(&texts).await?;
    until(story.relay(SENDER), LEFT, SECOND, |left| left >= 3.0).await?;
    ensure!(count(story.relay(SENDER), LEFT, HOLDER).await? == 0.0, "the first one took something");
    ensure!(count(story.relay(HOLDER), HELD, "").await? == 0.0, "the first one holds something");
    log_says(story.relay(SENDER), &["did not take a mailbag", HOLDER, "not-a-holder"])?;
    log_says(story.relay(RECEIVER), &["holds nothing for this one", HOLDER, "not-a-holder"])?;
    story.sender_dies_for_good().await?;

    story.relay(RECEIVER).start().await?;
    story.bob_has_exactly(&texts).await
}
