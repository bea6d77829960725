//! Groups while relays are down, and while several change them at once: chat goes on, what is wanted is kept, and nobody is
//! held up by somebody else's relay.

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Person, Room};
use serde_json::Value;

use crate::day::{Day, change, refused};

#[tokio::test]
async fn what_is_written_while_a_relay_is_down_arrives_in_order() -> Result<()> {
    let day = Day::begin().await?;
    let Day { network, alice, anna, bob, carol, .. } = &day;
    let garden = day.group("Garden", &[anna, bob, carol]).await?;
    network.relay("c.localhost").terminate().await?;
    for text in ["one", "two"] {
        garden.say(alice, text).await?;
        garden.say(bob, &format!("and {text}")).await?;
    }
    // Even the room's epoch moves on meanwhile.
    change(alice, &["promote", "Garden", bob.alias()]).await?;
    garden.await_role(bob, bob.alias(), "admin").await?;
    garden.say(alice, "three").await?;
    garden.say(bob, "and three").await?;
    network.relay("c.localhost").start().await?;
    let all: [(&Person, &[&str]); 2] =
        [(alice, &["one", "two", "three"]), (bob, &["and one", "and two", "and three"])];
    for reader in [alice, anna, bob, carol] {
        garden.expect_of_each(reader, &all).await?;
    }
    garden.say(carol, "five").await?;
    for reader in [alice, anna, bob] {
        garden.expect(reader, &["five"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn whoever_cannot_be_added_holds_up_nobody() -> Result<()> {
    let day = Day::begin().await?;
    let Day { network, alice, anna, bob, carol, dave, .. } = &day;
    network.relay("c.localhost").terminate().await?;

    // Carol's relay is down: her place is kept, and Bob comes in meanwhile.
    let made = alice.ok(&["room", "create", "Garden", carol.alias(), bob.alias()]).await?;
    let changes = made[0]["changes"].as_array().context("no changes")?;
    let of =
        |alias: &str| changes.iter().find(|change| change["alias"] == alias).cloned().unwrap_or_default();
    ensure!(of(bob.alias())["state"] == "done", "{made:?}");
    ensure!(of(carol.alias())["state"] == "waiting", "{made:?}");
    ensure!(of(carol.alias())["reason"] == "waiting for c.localhost", "{made:?}");
    let garden = Room::of(made[0]["room"].as_str().context("no room")?, "Garden");
    garden.await_member(bob, bob.alias()).await?;
    garden.say(bob, "who else comes?").await?;
    garden.expect(alice, &["who else comes?"]).await?;
    let shown = garden.show(alice).await?;
    ensure!(shown["changes"][0]["reason"] == "waiting for c.localhost", "{shown}");

    // Nobody of that name, and somebody who is blocked.
    let nobody =
        refused(alice, &["room", "add", "Garden", "nobody@b.localhost"], 4, "change-refused").await?;
    ensure!(nobody.stderr.contains("nobody@b.localhost"), "{nobody:?}");
    alice.ok(&["block", dave.alias()]).await?;
    refused(alice, &["room", "add", "Garden", dave.alias()], 2, "blocked").await?;
    change(alice, &["add", "Garden", anna.alias()]).await?;
    garden.await_member(anna, anna.alias()).await?;

    network.relay("c.localhost").start().await?;
    garden.await_member(alice, carol.alias()).await?;
    garden.await_member(carol, carol.alias()).await?;
    ensure!(garden.show(alice).await?["changes"] == Value::Array(Vec::new()), "something still waits");
    garden.say(carol, "here I am").await?;
    for reader in [alice, anna, bob] {
        garden.expect(reader, &["here I am"]).await?;
    }
    garden.expect_all(carol, &["here I am"]).await?;
    Ok(())
}

#[tokio::test]
async fn while_the_hub_is_down_chat_goes_on_and_changes_are_kept() -> Result<()> {
    let day = Day::begin().await?;
    let Day { network, alice, bob, carol, dave, .. } = &day;
    let garden = day.group("Garden", &[bob, carol]).await?;
    change(alice, &["promote", "Garden", bob.alias()]).await?;
    garden.await_role(bob, bob.alias(), "admin").await?;
    bob.befriend(dave).await?;
    network.relay("a.localhost").terminate().await?;

    garden.say(bob, "is the gate shut?").await?;
    garden.expect(carol, &["is the gate shut?"]).await?;
    garden.say(carol, "it is").await?;
    garden.expect(bob, &["is the gate shut?", "it is"]).await?;
    let lines = bob.ok(&["room", "add", "Garden", dave.alias()]).await?;
    ensure!(lines[0]["state"] == "waiting" || lines[0]["state"] == "deciding", "{lines:?}");
    ensure!(lines[0]["reason"] == "waiting for a.localhost", "{lines:?}");
    let shown = garden.show(bob).await?;
    ensure!(shown["changes"][0]["reason"] == "waiting for a.localhost", "{shown}");

    network.relay("a.localhost").start().await?;
    garden.await_member(bob, dave.alias()).await?;
    garden.await_member(dave, dave.alias()).await?;
    garden.say(dave, "good evening").await?;
    for reader in [alice, bob, carol] {
        garden
            .expect_of_each(
                reader,
                &[(bob, &["is the gate shut?"]), (carol, &["it is"]), (dave, &["good evening"])],
            )
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_is_removed_while_their_relay_is_down_finds_it_out() -> Result<()> {
    let day = Day::begin().await?;
    let Day { network, alice, anna, bob, carol, .. } = &day;
    let garden = day.group("Garden", &[anna, bob, carol]).await?;
    network.relay("c.localhost").terminate().await?;
    garden.say(alice, "for all of us").await?;
    change(alice, &["remove", "Garden", carol.alias()]).await?;
    garden.await_gone(bob, carol.alias()).await?;
    garden.say(bob, "for the others").await?;
    // Carol's relay cannot take it, so she writes into what she knows.
    let sent = carol.run(&["send", "Garden", "hello?"]).await?;
    ensure!(sent.code == Some(0) && sent.of_type("sent")[0]["state"] == "queued", "{sent:?}");

    network.relay("c.localhost").start().await?;
    garden.await_state(carol, "removed").await?;
    // Hers may still come: until her relay hears of it, she is in the room.
    garden.expect_of_each(anna, &[(alice, &["for all of us"]), (bob, &["for the others"])]).await?;
    let read = garden.texts(carol).await?;
    ensure!(read.contains(&"for all of us".to_owned()), "what came before is lost: {read:?}");
    ensure!(!read.contains(&"for the others".to_owned()), "what came after is read: {read:?}");
    Ok(())
}

#[tokio::test]
async fn who_leaves_without_a_connection_is_let_go_later() -> Result<()> {
    let day = Day::begin().await?;
    let Day { network, alice, bob, carol, .. } = &day;
    let garden = day.group("Garden", &[bob, carol]).await?;
    network.relay("b.localhost").terminate().await?;
    let left = bob.run(&["room", "leave", "Garden"]).await?;
    ensure!(left.code == Some(0) && left.stderr.contains("not sent yet"), "{left:?}");
    refused(bob, &["send", "Garden", "one more thing"], 2, "room-over").await?;
    network.relay("b.localhost").start().await?;
    bob.ok(&["inbox"]).await?;
    for reader in [carol, alice] {
        garden.await_gone(reader, bob.alias()).await?;
        garden.expect_news(reader, "left").await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_two_want_at_once_is_done_for_both() -> Result<()> {
    let day = Day::begin().await?;
    let Day { alice, anna, bob, carol, dave, .. } = &day;
    let garden = day.group("Garden", &[bob]).await?;
    change(alice, &["promote", "Garden", bob.alias()]).await?;
    garden.await_role(bob, bob.alias(), "admin").await?;
    bob.befriend(dave).await?;
    let (hers, his) = (["add", "Garden", anna.alias(), carol.alias()], ["add", "Garden", dave.alias()]);
    let (hers, his) = tokio::join!(change(alice, &hers), change(bob, &his));
    hers.context("Alice's change")?;
    his.context("Bob's change")?;
    for reader in [alice, bob, anna, carol, dave] {
        for other in [anna, carol, dave] {
            garden.await_account(reader, other).await?;
        }
    }
    garden.say(dave, "all here").await?;
    for reader in [alice, bob, anna, carol] {
        garden.expect(reader, &["all here"]).await?;
    }
    Ok(())
}
