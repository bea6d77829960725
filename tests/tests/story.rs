//! What people do with two relays: they meet, write, go away and come back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person};

/// Alice and Bob, at relays of their own.
async fn strangers() -> Result<(Network, Person, Person)> {
    let network = Network::of_two().await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    Ok((network, alice, bob))
}

async fn friends() -> Result<(Network, Person, Person)> {
    let (network, alice, bob) = strangers().await?;
    alice.befriend(&bob).await?;
    Ok((network, alice, bob))
}

#[tokio::test]
async fn the_first_letter_waits_for_consent_and_is_answered() -> Result<()> {
    let (_network, alice, bob) = strangers().await?;
    alice.send(&bob, "a letter from a stranger").await?;
    bob.await_request(&alice).await?;

    let requests = bob.ok(&["requests"]).await?;
    ensure!(requests.len() == 1 && requests[0]["alias"] == "alice@a.localhost", "{requests:?}");
    ensure!(requests[0]["verified"] == true, "{requests:?}");
    for command in [&["requests"][..], &["inbox"], &["export"]] {
        let shown = bob.ok(command).await?;
        ensure!(
            shown.iter().all(|line| !line.to_string().contains("a letter from")),
            "{command:?} shows {shown:?}"
        );
    }

    let contact = bob.ok(&["accept", "alice@a.localhost"]).await?;
    ensure!(contact[0]["type"] == "contact" && contact[0]["state"] == "accepted", "{contact:?}");
    bob.expect_from(&alice, &["a letter from a stranger"]).await?;
    bob.send(&alice, "no stranger any more").await?;
    alice.expect_from(&bob, &["no stranger any more"]).await?;
    ensure!(bob.ok(&["requests"]).await?.is_empty(), "the request is still there");
    Ok(())
}

#[tokio::test]
async fn two_people_of_one_relay_write_to_each_other() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let carol = Person::register(&network, "carol@a.localhost").await?;
    alice.befriend(&carol).await?;
    alice.send(&carol, "next door").await?;
    carol.expect(&["next door"]).await
}

#[tokio::test]
async fn whoever_was_offline_finds_everything_unread_once() -> Result<()> {
    let (_network, alice, bob) = friends().await?;
    bob.ok(&["inbox"]).await?;
    for text in ["one", "two", "three"] {
        alice.send(&bob, text).await?;
    }
    bob.expect(&["one", "two", "three"]).await?;
    let inbox = bob.ok(&["inbox"]).await?;
    let texts: Vec<&str> = inbox.iter().filter_map(|line| line["text"].as_str()).collect();
    ensure!(texts == ["one", "two", "three"], "{inbox:?}");
    ensure!(inbox.iter().all(|line| line["peer"] == "alice@a.localhost"), "{inbox:?}");
    ensure!(bob.ok(&["inbox"]).await?.is_empty(), "the messages are unread still");
    Ok(())
}

#[tokio::test]
async fn a_message_waits_while_the_other_relay_is_down() -> Result<()> {
    let (network, alice, bob) = friends().await?;
    let relay = network.relay("b.localhost");
    relay.terminate().await?;
    alice.send(&bob, "while you were away").await?;
    relay.start().await?;
    bob.expect(&["while you were away"]).await
}

#[tokio::test]
async fn a_message_waits_while_the_road_between_the_relays_is_cut() -> Result<()> {
    let (network, alice, bob) = friends().await?;
    let roads = || ["a.localhost", "b.localhost"].into_iter().flat_map(|d| network.relay(d).peer_proxies());
    roads().for_each(|road| road.cut());
    alice.send(&bob, "over the broken bridge").await?;
    roads().for_each(|road| road.mend());
    roads().for_each(|road| road.delay(Duration::from_millis(100)));
    bob.expect(&["over the broken bridge"]).await?;
    bob.send(&alice, "it is mended, if slow").await?;
    alice.expect(&["it is mended, if slow"]).await
}

#[tokio::test]
async fn a_message_waits_in_the_vault_while_the_own_relay_is_down() -> Result<()> {
    let (network, alice, bob) = friends().await?;
    let relay = network.relay("a.localhost");
    relay.kill().await?;
    let sent = alice.run(&["send", bob.alias(), "patience"]).await?;
    ensure!(sent.code == Some(0), "{sent:?}");
    ensure!(sent.of_type("sent")[0]["state"] == "queued", "{sent:?}");
    ensure!(sent.stderr.contains("not sent yet"), "{sent:?}");
    let history = alice.run(&["history", bob.alias()]).await?;
    ensure!(history.code == Some(0) && history.stderr.contains("warning"), "{history:?}");
    let last = history.lines.last().context("an empty history")?;
    ensure!(last["text"] == "patience" && last["state"] == "queued", "{history:?}");
    relay.start().await?;
    alice.ok(&["inbox"]).await?;
    bob.expect(&["patience"]).await
}

#[tokio::test]
async fn first_contact_works_while_the_other_relay_is_down() -> Result<()> {
    let (network, alice, bob) = strangers().await?;
    network.relay("b.localhost").terminate().await?;
    let state = alice.try_send(&bob, "are you there?").await?;
    ensure!(state == "queued", "without a key package the message was {state}");
    network.relay("b.localhost").start().await?;
    alice.ok(&["inbox"]).await?;
    bob.await_request(&alice).await?;
    bob.ok(&["accept", alice.alias()]).await?;
    bob.expect_from(&alice, &["are you there?"]).await
}

#[tokio::test]
async fn whoever_is_blocked_is_not_heard_and_not_told() -> Result<()> {
    let (network, alice, bob) = strangers().await?;
    alice.send(&bob, "buy this").await?;
    bob.await_request(&alice).await?;
    let contact = bob.ok(&["block", alice.alias()]).await?;
    ensure!(contact[0]["state"] == "blocked", "{contact:?}");
    alice.send(&bob, "buy that").await?;

    let carol = Person::register(&network, "carol@a.localhost").await?;
    carol.befriend(&bob).await?;
    ensure!(bob.ok(&["requests"]).await?.is_empty(), "the blocked one still asks");
    let shown = bob.ok(&["export"]).await?;
    ensure!(shown.iter().all(|line| !line.to_string().contains("buy")), "{shown:?}");
    Ok(())
}

#[tokio::test]
async fn both_see_one_safety_number() -> Result<()> {
    let (_network, alice, bob) = friends().await?;
    let (hers, his) = (alice.ok(&["verify", bob.alias()]).await?, bob.ok(&["verify", alice.alias()]).await?);
    let number = hers[0]["number"].as_str().context("no number")?;
    ensure!(his[0]["number"] == number, "{hers:?} {his:?}");
    let digits = number.chars().filter(char::is_ascii_digit).count();
    ensure!(digits == 60 && number.split(' ').count() == 12, "{number}");
    Ok(())
}

#[tokio::test]
async fn whoami_and_rooms_say_who_and_where() -> Result<()> {
    let (network, alice, bob) = friends().await?;
    let who = alice.ok(&["whoami"]).await?;
    ensure!(who[0]["alias"] == "alice@a.localhost" && who[0]["domain"] == "a.localhost", "{who:?}");
    ensure!(who[0]["relay_url"] == network.relay("a.localhost").http_url(), "{who:?}");
    let (hers, his) = (alice.ok(&["rooms"]).await?, bob.ok(&["rooms"]).await?);
    ensure!(hers.len() == 1 && his.len() == 1, "{hers:?} {his:?}");
    ensure!(hers[0]["room"] == his[0]["room"] && hers[0]["epoch"] == his[0]["epoch"], "{hers:?} {his:?}");
    ensure!(hers[0]["kind"] == "direct" && hers[0]["suite"] == "0x004e", "{hers:?}");
    ensure!(hers[0]["peer"]["alias"] == "bob@b.localhost", "{hers:?}");
    Ok(())
}

#[tokio::test]
async fn history_is_paged_and_export_is_whole() -> Result<()> {
    let (_network, alice, bob) = friends().await?;
    let texts: Vec<String> = (1..=10).map(|n| format!("page {n}")).collect();
    alice.run_with_input(&["send", bob.alias(), "-", "--lines"], &texts.join("\n")).await?;
    let page = alice.ok(&["history", bob.alias(), "--limit", "3"]).await?;
    let shown: Vec<&str> = page.iter().filter_map(|line| line["text"].as_str()).collect();
    ensure!(shown == ["page 8", "page 9", "page 10"], "{page:?}");
    let before = page[0]["local"].to_string();
    let page = alice.ok(&["history", bob.alias(), "--limit", "2", "--before", &before]).await?;
    let shown: Vec<&str> = page.iter().filter_map(|line| line["text"].as_str()).collect();
    ensure!(shown == ["page 6", "page 7"], "{page:?}");

    let exported = alice.ok(&["export"]).await?;
    ensure!(exported.len() == 12, "{exported:?}");
    let file = alice.home().join("letters.jsonl");
    let path = file.display().to_string();
    let told = alice.ok(&["export", &path]).await?;
    ensure!(told[0]["type"] == "exported" && told[0]["messages"] == 12, "{told:?}");
    ensure!(fs::read_to_string(&file)?.lines().count() == 12, "the file is not whole");
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "others can read the file");
    let again = alice.run(&["export", &path]).await?;
    ensure!(again.code == Some(1) && again.error_code() == Some("export-failed"), "{again:?}");
    Ok(())
}

#[tokio::test]
async fn other_commands_go_through_a_running_listen() -> Result<()> {
    let (_network, alice, bob) = friends().await?;
    let mut owner = alice.listen().await?;
    ensure!(owner.next_of("listening").await?["owner"] == true, "the first one owns the vault");
    owner.next_of("caught-up").await?;
    let mut follower = alice.listen().await?;
    ensure!(follower.next_of("listening").await?["owner"] == false, "the second one follows");
    follower.next_of("caught-up").await?;

    alice.send(&bob, "through the socket").await?;
    ensure!(owner.next_of("delivery").await?["state"] == "sealed", "the owner tells of the sealing first");
    bob.expect(&["through the socket"]).await?;
    bob.send(&alice, "and back").await?;
    for listener in [&mut owner, &mut follower] {
        let message = listener.next_of("message").await?;
        ensure!(message["text"] == "and back" && message["direction"] == "in", "{message}");
    }
    for command in
        [&["whoami"][..], &["rooms"], &["inbox"], &["history", bob.alias()], &["export"], &["requests"]]
    {
        alice.ok(command).await.with_context(|| format!("{command:?} through the socket"))?;
    }
    let unknown = alice.run(&["history", "nobody@b.localhost"]).await?;
    ensure!(unknown.code == Some(6), "{unknown:?}");
    follower.terminate().await?;
    owner.terminate().await?;
    ensure!(!alice.profile().join("control.sock").exists(), "the socket is left behind");
    alice.ok(&["whoami"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_dead_listeners_socket_is_in_nobodys_way() -> Result<()> {
    let (_network, alice, bob) = friends().await?;
    let mut listener = alice.listen().await?;
    listener.next_of("caught-up").await?;
    listener.kill().await?;
    alice.send(&bob, "after the crash").await?;
    bob.expect(&["after the crash"]).await?;
    let mut listener = alice.listen().await?;
    ensure!(listener.next_of("listening").await?["owner"] == true, "the vault has no owner");
    listener.terminate().await
}
