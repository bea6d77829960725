//! `kill -9` of relays, listeners and senders at random points: what was accepted stands exactly once, in the sender's
//! order, in the receiver's history.
//!
//! `POSTHOUSE_KILLS` says how many processes are killed; `POSTHOUSE_SEED` repeats a run's choices.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Listener, Network, Person};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

/// Processes killed where the environment says nothing.
const KILLS: u64 = 200;
/// Messages that a sender is given in each round.
const BATCH: u64 = 12;
/// The latest point of a round at which something is killed, milliseconds.
const LATEST_KILL_MS: u64 = 350;

/// One way between two people, and what became of every message on it.
struct Way<'a> {
    from: &'a Person,
    to: &'a Person,
    written: u64,
    /// What the sender was told of each message; those it was told nothing of are missing.
    told: BTreeMap<String, String>,
}

impl<'a> Way<'a> {
    fn new(from: &'a Person, to: &'a Person) -> Self {
        Self { from, to, written: 0, told: BTreeMap::new() }
    }

    fn text(&self, n: u64) -> String {
        format!("{} wrote letter {n:06}", self.from.alias())
    }

    /// Starts a sender with new texts.
    async fn start(&mut self) -> Result<Child> {
        let texts: String = (0..BATCH).map(|n| self.text(self.written + n) + "\n").collect();
        self.written += BATCH;
        let args = ["--timeout", "5", "send", self.to.alias(), "-", "--lines"];
        let mut child = self.from.command(&args).stdin(std::process::Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        // So few bytes fit the pipe; a sender that is dead already takes none.
        let _ = stdin.write_all(texts.as_bytes()).await;
        Ok(child)
    }

    /// Takes note of what a sender said before it ended or was killed.
    async fn finish(&mut self, child: Child, first: u64) -> Result<()> {
        let output = child.wait_with_output().await?;
        let mut n = first;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // The last line of a killed process may be cut off.
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            if line["type"] == "sent" {
                let state = line["state"].as_str().context("no state")?.to_owned();
                ensure!(state != "failed", "{line}");
                self.told.insert(self.text(n), state);
                n += 1;
            }
        }
        Ok(())
    }

    /// Waits until everything has arrived, and compares.
    async fn settle(&self) -> Result<(usize, usize)> {
        let end = format!("{} has no more to say", self.from.alias());
        self.from.send(self.to, &end).await?;
        self.to.expect_from(self.from, &[&end]).await?;
        let mut seen = self.to.history(self.from, "in").await?;
        seen.retain(|text| text.contains("wrote letter"));
        let mut sorted = seen.clone();
        sorted.sort();
        ensure!(seen == sorted, "out of order: {seen:?}");
        sorted.dedup();
        ensure!(seen.len() == sorted.len(), "twice: {seen:?}");
        for (text, state) in &self.told {
            ensure!(sorted.binary_search(text).is_ok(), "`{text}` was {state} and is lost");
        }
        Ok((self.told.len(), seen.len()))
    }
}

/// What may be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    RelayA,
    RelayB,
    Sender,
    OtherSender,
    Listener,
}

const VICTIMS: [Victim; 5] =
    [Victim::RelayA, Victim::RelayB, Victim::Sender, Victim::OtherSender, Victim::Listener];

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[tokio::test]
async fn what_was_accepted_survives_kills_at_random_points() -> Result<()> {
    let kills = from_environment("POSTHOUSE_KILLS").unwrap_or(KILLS);
    let seed = from_environment("POSTHOUSE_SEED").unwrap_or_else(rand::random);
    println!("seed: POSTHOUSE_SEED={seed}");
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let mut ways = [Way::new(&alice, &bob), Way::new(&bob, &alice)];
    let mut rng = StdRng::seed_from_u64(seed);
    let mut killed = 0;
    while killed < kills {
        killed += round(&network, &mut ways, &mut rng)
            .await
            .with_context(|| format!("seed {seed}, after {killed} kills"))?;
    }
    for relay in network.relays() {
        relay.start().await?;
    }
    for way in &ways {
        let (told, seen) = way.settle().await.with_context(|| format!("seed {seed}"))?;
        println!(
            "{}: {} written, {told} told as accepted or queued, {seen} arrived",
            way.from.alias(),
            way.written
        );
    }
    println!("{killed} processes killed");
    Ok(())
}

#[tokio::test]
async fn a_registration_that_is_killed_goes_on_with_the_same_account() -> Result<()> {
    let seed = from_environment("POSTHOUSE_SEED").unwrap_or_else(rand::random);
    println!("seed: POSTHOUSE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    for n in 0..from_environment("POSTHOUSE_KILLS").unwrap_or(KILLS) / 20 {
        let alias = format!("traveller{n}@a.localhost");
        let person = Person::new(&network, &alias)?;
        let args = ["register", &alias, "--relay", person.relay_url()];
        let mut child = person.command(&args).spawn()?;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=LATEST_KILL_MS))).await;
        child.kill().await?;
        let again = person.run(&args).await?;
        // A registration that was done before the kill is done.
        let done = again.code == Some(0) || again.error_code() == Some("already-registered");
        ensure!(done, "seed {seed}: {again:?}");
        person.ok(&["whoami"]).await.with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

/// Both write, Bob perhaps through a `listen`, and some of them are killed on the way.
async fn round(network: &Network, ways: &mut [Way<'_>; 2], rng: &mut StdRng) -> Result<u64> {
    let (first_a, first_b) = (ways[0].written, ways[1].written);
    let mut listener = match rng.random_bool(0.5) {
        true => Some(ways[1].from.listen().await?),
        false => None,
    };
    let mut senders = [ways[0].start().await?, ways[1].start().await?];
    let mut killed = 0;
    for _ in 0..rng.random_range(1..=3) {
        // No event marks a random point in time: here waiting for a while is what is meant.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=LATEST_KILL_MS))).await;
        let victim = VICTIMS[rng.random_range(0..VICTIMS.len())];
        killed += kill(victim, network, &mut senders, &mut listener).await?;
    }
    for relay in network.relays() {
        relay.start().await?;
    }
    for (way, (sender, first)) in ways.iter_mut().zip(senders.into_iter().zip([first_a, first_b])) {
        way.finish(sender, first).await?;
    }
    if let Some(listener) = listener {
        listener.terminate().await?;
    }
    Ok(killed)
}

async fn kill(
    victim: Victim,
    network: &Network,
    senders: &mut [Child; 2],
    listener: &mut Option<Listener>,
) -> Result<u64> {
    match victim {
        Victim::RelayA | Victim::RelayB => {
            let domain = if victim == Victim::RelayA { "a.localhost" } else { "b.localhost" };
            if !network.relay(domain).is_running() {
                return Ok(0);
            }
            // It stays down until the round ends.
            network.relay(domain).kill().await.map(|()| 1)
        }
        Victim::Sender | Victim::OtherSender => {
            let child = &mut senders[usize::from(victim == Victim::OtherSender)];
            if child.try_wait()?.is_some() {
                return Ok(0);
            }
            child.start_kill()?;
            Ok(1)
        }
        Victim::Listener => match listener.take() {
            Some(listener) => listener.kill().await.map(|()| 1),
            None => Ok(0),
        },
    }
}
