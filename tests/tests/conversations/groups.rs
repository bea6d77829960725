//! What people do with groups: they come, write, change them, and go.

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Room};
use serde_json::{Value, json};

use crate::day::{Day, change, refused};

#[tokio::test]
async fn a_group_across_three_relays_is_read_by_everybody() -> Result<()> {
    let day = Day::begin().await?;
    let Day { alice, anna, bob, carol, dave, .. } = &day;
    let garden = day.group("Garden", &[anna, bob, carol]).await?;

    garden.say(alice, "the roses are out").await?;
    for reader in [anna, bob, carol] {
        garden.expect_all(reader, &["the roses are out"]).await?;
    }
    garden.say(bob, "so are the slugs").await?;
    for reader in [alice, anna, carol] {
        garden.expect(reader, &["so are the slugs"]).await?;
    }
    garden.say(carol, "I bring beer").await?;
    for reader in [alice, anna, bob] {
        garden.expect_all(reader, &["the roses are out", "so are the slugs", "I bring beer"]).await?;
    }

    // Dave comes later, and what was before stays among those who were there.
    change(alice, &["add", "Garden", dave.alias()]).await?;
    garden.await_member(dave, dave.alias()).await?;
    garden.say(anna, "welcome, Dave").await?;
    garden.expect_all(dave, &["welcome, Dave"]).await?;
    for reader in [alice, bob, carol] {
        garden.expect(reader, &["welcome, Dave"]).await?;
    }
    garden.say(dave, "hello everybody").await?;
    for reader in [alice, anna, bob, carol] {
        garden.expect(reader, &["welcome, Dave", "hello everybody"]).await?;
        garden.expect_news(reader, "added").await?;
    }

    let shown = garden.show(bob).await?;
    ensure!(
        shown["name"] == "Garden" && shown["kind"] == "group" && shown["hub"] == "a.localhost",
        "{shown}"
    );
    ensure!(shown["members"] == 5 && shown["rules"]["write"] == "member", "{shown}");
    ensure!(shown["rules"]["add"] == "admin" && shown["suite"] == "0x004e", "{shown}");
    let people = shown["people"].as_array().context("no people")?;
    ensure!(people[0]["alias"] == alice.alias() && people[0]["role"] == "owner", "owners first: {shown}");
    for person in [alice, anna, bob, carol, dave] {
        let listed = people.iter().find(|listed| listed["alias"] == person.alias());
        let listed = listed.with_context(|| format!("{} is not listed: {shown}", person.alias()))?;
        let (_, home) = person.alias().split_once('@').context("an alias")?;
        ensure!(listed["home"] == home && listed["devices"] == 1, "{listed}");
    }
    ensure!(people.iter().filter(|listed| listed["own"] == true).count() == 1, "{shown}");

    // A room goes by its name, its id, or the beginning of that.
    for named in ["Garden", "garden", garden.id(), &garden.id()[..8]] {
        ensure!(garden.show_as(carol, named).await?["room"] == garden.id(), "`{named}` is another room");
    }
    let inbox = anna.ok(&["inbox", "--offline"]).await?;
    let texts: Vec<&str> = inbox.iter().filter_map(|line| line["text"].as_str()).collect();
    ensure!(texts.contains(&"hello everybody") && texts.contains(&"I bring beer"), "{inbox:?}");
    ensure!(inbox.iter().any(|line| line["room_name"] == "Garden"), "{inbox:?}");
    Ok(())
}

#[tokio::test]
async fn a_room_changes_its_name_its_roles_and_its_rules() -> Result<()> {
    let day = Day::begin().await?;
    let Day { alice, anna, bob, carol, dave, .. } = &day;
    let garden = day.group("Garden", &[anna, bob, carol]).await?;

    refused(bob, &["room", "rename", "Garden", "Bob's garden"], 4, "not-allowed").await?;
    refused(bob, &["room", "add", "Garden", dave.alias()], 4, "not-allowed").await?;
    change(alice, &["promote", "Garden", bob.alias()]).await?;
    garden.await_role(bob, bob.alias(), "admin").await?;
    let told = bob.ok(&["room", "rename", "Garden", "Orchard"]).await?;
    ensure!(told[0]["type"] == "room-profile" && told[0]["name"] == "Orchard", "{told:?}");
    bob.ok(&["room", "describe", "Orchard", "Who waters when"]).await?;
    for reader in [alice, anna, carol] {
        garden.expect_news(reader, "described").await?;
        let shown = garden.show_as(reader, "Orchard").await?;
        ensure!(shown["description"] == "Who waters when", "{shown}");
    }
    refused(alice, &["room", "show", "Garden"], 6, "unknown-room").await?;
    // Of two rooms of one name neither is meant.
    let other = Room::create(alice, "Orchard", &[], &[]).await?;
    let failed = refused(alice, &["send", "Orchard", "which one?"], 2, "ambiguous-room").await?;
    ensure!([&other, &garden].iter().all(|room| failed.stderr.contains(room.id())), "{failed:?}");
    alice.ok(&["room", "leave", other.id()]).await?;

    let picture = bob.home().join("tree.png");
    std::fs::write(&picture, b"\x89PNG\r\n\x1a\na tree")?;
    let path = picture.display().to_string();
    let told = bob.ok(&["room", "picture", "Orchard", &path]).await?;
    ensure!(told[0]["picture"].is_string(), "{told:?}");
    garden.until(anna, "a picture", |shown| shown["has_picture"] == true).await?;
    refused(bob, &["room", "picture", "Orchard", "/dev/null"], 2, "bad-picture").await?;

    // An admin may add, but only an owner makes admins.
    refused(bob, &["room", "promote", "Orchard", anna.alias()], 4, "not-allowed").await?;
    refused(alice, &["room", "promote", "Orchard", dave.alias()], 6, "not-in-room").await?;
    change(alice, &["policy", "Orchard", "--add", "member", "--write", "admin"]).await?;
    garden.until(carol, "the new rules", |shown| shown["rules"]["write"] == "admin").await?;
    refused(carol, &["send", "Orchard", "may I?"], 4, "not-allowed").await?;
    garden.say(bob, "only we may").await?;
    garden.expect(carol, &["only we may"]).await?;
    change(alice, &["policy", "Orchard", "--write", "member"]).await?;
    garden.until(carol, "the old rules", |shown| shown["rules"]["write"] == "member").await?;
    garden.say(carol, "all of us again").await?;

    // The room is handed over; the one who had it is an admin from then on.
    change(alice, &["transfer", "Orchard", bob.alias()]).await?;
    garden.await_role(bob, bob.alias(), "owner").await?;
    garden.await_role(alice, alice.alias(), "admin").await?;
    let failed = refused(bob, &["room", "demote", "Orchard", bob.alias()], 4, "change-refused").await?;
    ensure!(failed.stderr.contains("without an owner"), "{failed:?}");
    change(bob, &["demote", "Orchard", alice.alias()]).await?;
    garden.await_role(alice, alice.alias(), "member").await?;
    refused(bob, &["room", "promote", "Orchard", bob.alias()], 2, "has-more").await?;
    Ok(())
}

#[tokio::test]
async fn who_is_removed_banned_or_leaves_is_out() -> Result<()> {
    let day = Day::begin().await?;
    let Day { alice, anna, bob, carol, dave, .. } = &day;
    let garden = day.group("Garden", &[anna, bob, carol, dave]).await?;

    change(alice, &["remove", "Garden", dave.alias()]).await?;
    garden.await_state(dave, "removed").await?;
    garden.expect_news(dave, "removed").await?;
    refused(dave, &["send", "Garden", "but why?"], 2, "room-over").await?;
    garden.say(alice, "among ourselves").await?;
    garden.expect(bob, &["among ourselves"]).await?;
    ensure!(garden.texts(dave).await?.iter().all(|text| text != "among ourselves"), "Dave still hears it");

    change(alice, &["ban", "Garden", carol.alias()]).await?;
    garden.await_state(carol, "removed").await?;
    let shown = garden.show(alice).await?;
    ensure!(shown["rules"]["banned"][0]["alias"] == carol.alias(), "{shown}");
    let failed = refused(alice, &["room", "add", "Garden", carol.alias()], 4, "change-refused").await?;
    ensure!(failed.stderr.contains("unban"), "{failed:?}");
    change(alice, &["unban", "Garden", carol.alias()]).await?;
    change(alice, &["add", "Garden", carol.alias()]).await?;
    garden.await_state(carol, "active").await?;
    garden.say(carol, "I am back").await?;
    garden.expect(bob, &["among ourselves", "I am back"]).await?;

    // The last owner stays until there is another one.
    refused(alice, &["room", "leave", "Garden"], 2, "last-owner").await?;
    let left = bob.ok(&["room", "leave", "Garden"]).await?;
    ensure!(left[0]["type"] == "room-left", "{left:?}");
    refused(bob, &["send", "Garden", "one more thing"], 2, "room-over").await?;
    garden.await_gone(anna, bob.alias()).await?;
    garden.expect_news(anna, "left").await?;
    change(alice, &["promote", "Garden", anna.alias(), "--owner"]).await?;
    garden.await_role(anna, anna.alias(), "owner").await?;
    alice.ok(&["room", "leave", "Garden"]).await?;
    garden.await_gone(carol, alice.alias()).await?;
    garden.say(anna, "the two of us").await?;
    garden.expect(carol, &["the two of us"]).await?;
    Ok(())
}

#[tokio::test]
async fn in_a_room_for_announcements_only_admins_write() -> Result<()> {
    let day = Day::begin().await?;
    let Day { alice, bob, carol, .. } = &day;
    let flags = ["--announcement", "--suite", "classic", "--description", "What is new"];
    let news = Room::create(alice, "News", &flags, &[bob, carol]).await?;
    for reader in [bob, carol] {
        news.await_member(reader, reader.alias()).await?;
        let shown = news.show(reader).await?;
        ensure!(shown["kind"] == "announcement" && shown["suite"] == "0x0003", "{shown}");
    }
    news.say(alice, "the fair is on Sunday").await?;
    for reader in [bob, carol] {
        news.expect(reader, &["the fair is on Sunday"]).await?;
    }
    let failed = refused(bob, &["send", "News", "where?"], 4, "not-allowed").await?;
    ensure!(failed.stderr.contains("only admins"), "{failed:?}");
    change(alice, &["promote", "News", bob.alias()]).await?;
    // He need not have heard of it before he writes.
    news.say(bob, "on the green").await?;
    news.expect(carol, &["the fair is on Sunday", "on the green"]).await?;
    Ok(())
}

#[tokio::test]
async fn whoever_does_not_know_who_invites_is_asked_first() -> Result<()> {
    let mut network = Network::new()?;
    for domain in ["a.localhost", "b.localhost"] {
        network.start(domain).await?;
    }
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    let garden = Room::create(&alice, "Garden", &[], &[&bob]).await?;
    garden.say(&alice, "are you coming?").await?;
    bob.await_request(&alice).await?;
    let requests = bob.ok(&["requests"]).await?;
    ensure!(requests.len() == 1 && requests[0]["kind"] == "group", "{requests:?}");
    ensure!(requests[0]["room"] == garden.id() && requests[0]["verified"] == true, "{requests:?}");
    for command in [&["inbox"][..], &["rooms"], &["export"]] {
        ensure!(bob.ok(command).await?.is_empty(), "{command:?} shows what was not accepted");
    }
    bob.ok(&["accept", alice.alias()]).await?;
    garden.expect_all(&bob, &["are you coming?"]).await?;
    garden.until(&bob, "its name", |shown| shown["name"] == "Garden").await?;
    garden.say(&bob, "on my way").await?;
    garden.expect(&alice, &["on my way"]).await
}

#[tokio::test]
async fn a_running_listen_and_other_programs_do_it_too() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let mut listener = alice.listen().await?;
    listener.next_of("caught-up").await?;
    let garden = Room::create(&alice, "Garden", &["--description", "Who waters when"], &[&bob]).await?;
    ensure!(listener.next_of("change").await?["want"] == "add", "`listen` tells of another change");

    let mut rpc = bob.rpc()?;
    rpc.event("caught-up").await?;
    let room = json!({ "room": "Garden" });
    while rpc.call("rooms", json!({ "offline": true })).await?["rooms"]
        .as_array()
        .is_none_or(|rooms| rooms.len() < 2)
    {
        rpc.event("room-changed").await?;
    }
    change(&alice, &["promote", "Garden", bob.alias(), "--owner"]).await?;
    let is_owner = |shown: &Value| -> bool {
        let people = shown["people"].as_array().cloned().unwrap_or_default();
        people.iter().any(|listed| listed["own"] == true && listed["role"] == "owner")
    };
    while !is_owner(&rpc.call("room_show", room.clone()).await?) {
        rpc.event("room-changed").await?;
    }
    let told =
        rpc.call("room_policy", json!({ "room": "Garden", "add": "member", "write": "admin" })).await?;
    ensure!(told["type"] == "change" && told["state"] == "done" && told["add"] == "member", "{told}");
    ensure!(rpc.event("change").await?["want"] == "policy");
    let told = rpc.call("room_rename", json!({ "room": "Garden", "name": "Orchard" })).await?;
    ensure!(told["name"] == "Orchard" && told["description"] == "Who waters when", "{told}");
    let sent = rpc.call("send", json!({ "to": "Orchard", "texts": ["through a program"] })).await?;
    ensure!(sent["sent"][0]["state"] == "accepted" && sent["sent"][0]["to"] == garden.id(), "{sent}");
    ensure!(listener.next_of("message").await?["news"]["news"].is_string(), "no line tells of the change");
    garden.expect_all(&alice, &["through a program"]).await?;
    garden.say(&alice, "through a socket").await?;
    while rpc.event("message").await?["text"] != "through a socket" {}

    let none = rpc.call("room_add", json!({ "room": "Nowhere", "members": [alice.alias()] })).await;
    ensure!(none.is_err_and(|error| format!("{error:#}").contains("unknown-room")), "there is no such room");
    let told = rpc.call("room_demote", json!({ "room": "Orchard", "member": alice.alias() })).await?;
    ensure!(told["state"] == "done", "{told}");
    let told = rpc.call("room_remove", json!({ "room": "Orchard", "members": [alice.alias()] })).await?;
    ensure!(told["changes"][0]["state"] == "done", "{told}");
    listener.terminate().await
}

#[tokio::test]
async fn whoever_blocked_who_invites_hears_nothing_and_is_not_betrayed() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    let carol = Person::register_with_key_file(&network, "carol@b.localhost").await?;
    alice.befriend(&bob).await?;
    alice.befriend(&carol).await?;
    bob.ok(&["inbox"]).await?;
    bob.ok(&["block", alice.alias()]).await?;
    // To Alice it looks as it does with somebody who has no device just now.
    let made = alice.ok(&["room", "create", "Garden", bob.alias(), carol.alias()]).await?;
    let bobs = &made[0]["changes"][0];
    ensure!(bobs["state"] == "waiting" && !bobs.to_string().contains("block"), "Bob is betrayed: {made:?}");
    let garden = Room::of(made[0]["room"].as_str().context("no room")?, "Garden");
    garden.await_member(&carol, carol.alias()).await?;
    garden.say(&alice, "buy this").await?;
    garden.expect_all(&carol, &["buy this"]).await?;
    for command in [&["requests"][..], &["inbox"]] {
        ensure!(bob.ok(command).await?.is_empty(), "{command:?} tells of who is blocked");
    }
    let rooms = bob.ok(&["rooms"]).await?;
    ensure!(rooms.iter().all(|room| room["kind"] == "direct"), "Bob was brought into a group: {rooms:?}");
    Ok(())
}
