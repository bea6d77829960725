//! The API between client and relay, spoken by hand: key packages, rooms, commits and the socket, at one relay and
//! between two.

mod device;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use device::Device;
use posthouse_crypto::room::member::{Keys, Room};
use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::client::delivery::{Delivery, WelcomeDelivery};
use posthouse_spec::client::socket::Down;
use posthouse_spec::client::{Refusal, http::Base64};
use posthouse_spec::room::{Decided, Suite};
use posthouse_spec::{MailboxSeq, Number, RoomId};
use posthouse_tests::Network;
use serde_json::json;

/// How long a test waits for something that ought to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Alice and Bob in one room that Alice has founded; each with an open socket.
struct Pair {
    alice: Device,
    bob: Device,
    at_alice: Room,
    at_bob: Room,
}

impl Pair {
    async fn meet(network: &Network, bobs_relay: &str, suite: Suite) -> Result<Self> {
        let mut alice = Device::register(network.relay("a.localhost"), "alice").await?;
        let mut bob = Device::register(network.relay(bobs_relay), "bob").await?;
        bob.stock(suite, 2).await?;
        bob.connect().await?;
        let room = RoomId::new([7; 32]);
        let mut at_alice = alice.found(room, suite).await?;
        let claimed = alice.claim(&bob, suite).await?;
        ensure!(claimed.len() == 1 && !claimed[0].last_resort, "{claimed:?}");
        let decided = alice.invite(&mut at_alice, &bob, &claimed).await?.ok();
        let decided: Decided = device::read(&decided["decided"])?;
        at_alice.apply(&mut alice.keys, &decided.commit)?;
        let at_bob = bob.join().await?;
        ensure!(at_bob.epoch() == at_alice.epoch(), "they stand in different epochs");
        alice.connect().await?;
        Ok(Self { alice, bob, at_alice, at_bob })
    }

    async fn close(self, network: Network) -> Result<()> {
        for relay in network.relays() {
            relay.terminate().await?;
        }
        Ok(())
    }
}

fn text(keys: &mut Keys, room: &mut Room, delivery: &Delivery) -> Result<String> {
    let Delivery::Message(message) = delivery else { anyhow::bail!("expected a message, got {delivery:?}") };
    Ok(String::from_utf8(room.open(keys, &message.body)?.content)?)
}

#[tokio::test]
async fn messages_cross_between_relays_once_and_in_order() -> Result<()> {
    let network = Network::of_two().await?;
    let mut pair = Box::pin(Pair::meet(&network, "b.localhost", Suite::PostQuantum)).await?;
    let letters: Vec<String> = (1..=300).map(|n| format!("letter {n}")).collect();
    for (number, letter) in (1..).zip(&letters) {
        let body = pair.at_alice.seal(&mut pair.alice.keys, letter.as_bytes())?;
        pair.alice.submit(&pair.at_alice, number, body).await?;
    }
    let mut through = Number(0);
    let mut frames = 0;
    while through < Number(300) {
        let Down::Accepted(accepted) = pair.alice.frame().await? else { continue };
        ensure!(accepted.through > through, "answers go backwards");
        through = accepted.through;
        frames += 1;
    }
    ensure!(frames < 300, "{frames} answers to 300 submits: none is coalesced");
    let mut last = MailboxSeq(0);
    for letter in &letters {
        let (seq, delivery) = pair.bob.delivery().await?;
        ensure!(seq > last, "positions go backwards");
        last = seq;
        ensure!(text(&mut pair.bob.keys, &mut pair.at_bob, &delivery)? == *letter, "expected {letter}");
    }
    Box::pin(pair.close(network)).await
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_what_was_does_not() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let mut pair = Box::pin(Pair::meet(&network, "a.localhost", Suite::Classic)).await?;
    let mut bodies = Vec::new();
    for number in 1..=4 {
        let body = pair.at_alice.seal(&mut pair.alice.keys, format!("letter {number}").as_bytes())?;
        pair.alice.submit(&pair.at_alice, number, body.clone()).await?;
        bodies.push(body);
    }
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(pair.bob.delivery().await?.0);
    }
    pair.bob.acknowledge(places[1]).await?;
    // The relay answers a second hello only after what the first connection has said.
    let ready = pair.bob.reconnect_until_acked(places[1]).await?;
    ensure!(ready.head == places[3], "{ready:?}");
    let (seq, delivery) = pair.bob.delivery().await?;
    ensure!(seq == places[2], "position {seq} comes first");
    ensure!(text(&mut pair.bob.keys, &mut pair.at_bob, &delivery)? == "letter 3", "another letter");

    // A repeat changes nothing; another body under a used number is refused; a gap as well.
    pair.alice.submit(&pair.at_alice, 4, bodies[3].clone()).await?;
    pair.alice.submit(&pair.at_alice, 4, bodies[0].clone()).await?;
    pair.alice.submit(&pair.at_alice, 9, bodies[0].clone()).await?;
    let (reused, gap) = (pair.alice.refusal().await?, pair.alice.refusal().await?);
    ensure!(reused == (Number(4), Refusal::NumberReused), "{reused:?}");
    ensure!(gap == (Number(9), Refusal::NumberGap), "{gap:?}");
    let (seq, _) = pair.bob.delivery().await?;
    ensure!(seq == places[3], "position {seq} is not the last");
    Box::pin(pair.close(network)).await
}

#[tokio::test]
async fn a_room_is_founded_once_and_one_commit_ends_an_epoch() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let mut pair = Box::pin(Pair::meet(&network, "a.localhost", Suite::PostQuantum)).await?;
    let path = format!("/v1/rooms/{}", pair.at_alice.id());
    let seen = pair.alice.get(&path).await?.ok();
    ensure!(seen["epoch"] == 1 && seen["hub"] == "a.localhost", "{seen}");
    let other = pair.bob.found_as(pair.at_alice.id(), Suite::PostQuantum).await?;
    ensure!(other.status == 409, "{other:?}");

    let commit = pair.at_bob.renew(&mut pair.bob.keys)?;
    let won = pair.bob.commit(&pair.at_bob, commit.commit, None).await?.ok();
    let late = pair.at_alice.renew(&mut pair.alice.keys)?;
    let lost = pair.alice.commit(&pair.at_alice, late.commit, None).await?;
    ensure!(lost.status == 409 && lost.body["error"] == "stale-epoch", "{lost:?}");
    ensure!(lost.body["decided"] == won["decided"], "the loser is shown what won");

    let body = pair.at_alice.seal(&mut pair.alice.keys, b"too late");
    if let Ok(body) = body {
        pair.alice.submit(&pair.at_alice, 1, body).await?;
        ensure!(pair.alice.refusal().await?.1 == Refusal::StaleEpoch, "an old epoch is taken");
    }
    Box::pin(pair.close(network)).await
}

#[tokio::test]
async fn a_stock_is_kept_counted_and_handed_out_once() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let relay = network.relay("a.localhost");
    let (alice, mut bob) = (Device::register(relay, "alice").await?, Device::register(relay, "bob").await?);
    let counts = bob.stock(Suite::Classic, 3).await?;
    ensure!(counts == json!({ "classic": 3, "post_quantum": 0 }), "{counts}");
    let foreign = alice.upload(Suite::Classic, vec![bob.key_package(Suite::Classic, false)?], None).await?;
    ensure!(foreign.status == 422, "{foreign:?}");
    let marked = bob.key_package(Suite::Classic, true)?;
    let misplaced = bob.upload(Suite::Classic, vec![marked.clone()], None).await?;
    ensure!(misplaced.status == 400, "{misplaced:?}");
    bob.upload(Suite::Classic, vec![], Some(marked)).await?.ok();

    let first = alice.claim(&bob, Suite::Classic).await?;
    let second = alice.claim(&bob, Suite::Classic).await?;
    ensure!(first[0].key_package != second[0].key_package, "handed out twice");
    alice.claim(&bob, Suite::Classic).await?;
    let resort = alice.claim(&bob, Suite::Classic).await?;
    ensure!(resort[0].last_resort && alice.claim(&bob, Suite::Classic).await?[0].last_resort, "{resort:?}");

    bob.put(&format!("/v1/blocks/{}", alice.account.id())).await?.ok();
    ensure!(alice.claim(&bob, Suite::Classic).await?.is_empty(), "the blocked sees a stock");
    let devices = bob.get("/v1/devices").await?.ok();
    ensure!(devices["devices"].as_array().is_some_and(|all| all.len() == 1), "{devices}");
    relay.terminate().await
}

/// Reads a Welcome out of a mailbox.
fn welcome(delivery: Delivery) -> Result<WelcomeDelivery> {
    match delivery {
        Delivery::Welcome(welcome) => Ok(welcome),
        other => anyhow::bail!("expected a Welcome, got {other:?}"),
    }
}

fn decode(bytes: &[u8]) -> Result<Down> {
    Down::from_cbor(bytes).context("a frame of the relay")
}

fn base64(bytes: Vec<u8>) -> Base64 {
    Base64(bytes)
}
