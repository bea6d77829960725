//! The chapter of the group: a third relay, a third person, and a room of all three.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Room};

use crate::teller::Teller;

/// What the room is called and what is written in it: nothing of it may be found at a relay.
pub(crate) const SECRETS: [&str; 5] = [NAME, INVITATION, REPLY, SLEEPING, AFTERWARDS];

const NAME: &str = "The coachmen's table";
const INVITATION: &str = "Supper is at eight, and the horses are fed before.";
const REPLY: &str = "I bring the cider from the valley.";
const SLEEPING: &str = "Carol's relay is asleep; this waits for her at ours.";
const AFTERWARDS: &str = "The two of us keep the table warm.";

/// Plays it.
pub(crate) async fn play(
    network: &mut Network,
    alice: &Person,
    bob: &Person,
    teller: &mut Teller,
) -> Result<()> {
    teller.title("7. A group across three relays");
    network.start("c.localhost").await?;
    let carol = Person::register(network, "carol@c.localhost").await?;
    alice.befriend(&carol).await?;
    teller.say("A third relay runs, c.localhost, and Carol is there. She and Alice know each other.");

    let began = Instant::now();
    let table = Room::create(alice, NAME, &[], &[bob, &carol]).await?;
    for other in [bob, &carol] {
        table.await_member(other, other.alias()).await?;
    }
    teller.say(&format!(
        "Alice makes the group \"{NAME}\" of Bob and Carol; {} ms later both are in it.",
        began.elapsed().as_millis()
    ));
    table.say(alice, INVITATION).await?;
    for reader in [bob, &carol] {
        table.expect(reader, &[INVITATION]).await?;
    }
    table.say(&carol, REPLY).await?;
    for reader in [alice, bob] {
        table.expect(reader, &[INVITATION, REPLY]).await?;
    }
    teller.checked("all three read what the others write, each at a relay of their own");

    network.relay("c.localhost").terminate().await?;
    table.say(bob, SLEEPING).await?;
    table.expect(alice, &[SLEEPING]).await?;
    network.relay("c.localhost").start().await?;
    table.expect_all(&carol, &[INVITATION, REPLY, SLEEPING]).await?;
    teller.checked("c.localhost slept meanwhile: Carol has it all, in order");

    let removed = alice.ok(&["room", "remove", NAME, carol.alias()]).await?;
    ensure!(removed.iter().any(|line| line["state"] == "done"), "the removal says {removed:?}");
    table.await_state(&carol, "removed").await?;
    table.say(bob, AFTERWARDS).await?;
    table.expect(alice, &[AFTERWARDS]).await?;
    carol.ok(&["inbox"]).await?;
    let heard = table.texts(&carol).await?;
    let last = heard.last().context("Carol's history is empty")?;
    ensure!(last == SLEEPING, "Carol reads on after she was removed: {heard:?}");
    teller.checked("Alice removes Carol, who sees it, and reads nothing of what comes after");
    Ok(())
}
