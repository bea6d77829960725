//! Partitions, latency and loss between two public relays.

use std::time::Duration;

use anyhow::{Result, ensure};
use posthouse_tests::Person;
use posthouse_tests::netns::{Internet, Station, Weather};

/// How many messages cross each way.
const MESSAGES: usize = 50;

async fn station(internet: &mut Internet, domain: &str) -> Result<Station> {
    let site = internet.public_site()?;
    let mut station = Station::lay_out(internet, site, domain, "")?;
    station.start().await?;
    Ok(station)
}

fn numbered(who: &str) -> Vec<String> {
    (1..=MESSAGES).map(|n| format!("{who} {n}")).collect()
}

/// Sends texts; each is accepted by the own relay.
async fn send_all(from: &Person, to: &Person, texts: &[String]) -> Result<()> {
    let sent = from.run_with_input(&["send", to.alias(), "-", "--lines"], &texts.join("\n")).await?;
    let accepted = sent.of_type("sent").iter().filter(|line| line["state"] == "accepted").count();
    ensure!(accepted == texts.len(), "{accepted} of {} were accepted: {}", texts.len(), sent.stderr);
    Ok(())
}

/// Waits for the last of them, and finds all in order and once.
async fn all_arrive(to: &Person, from: &Person, who: &str, texts: &[String]) -> Result<()> {
    let expected: Vec<&str> = texts.iter().map(String::as_str).collect();
    to.expect_from(from, &expected).await?;
    let mut history = to.history(from, "in").await?;
    history.retain(|text| text.starts_with(who));
    ensure!(history == texts, "not once and in order: {history:?}");
    Ok(())
}

async fn both_ways(alice: &Person, bob: &Person) -> Result<()> {
    let (there, back) = (numbered("there"), numbered("back"));
    send_all(alice, bob, &there).await?;
    send_all(bob, alice, &back).await?;
    all_arrive(bob, alice, "there", &there).await?;
    all_arrive(alice, bob, "back", &back).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_during_a_partition_crosses_when_it_heals() -> Result<()> {
    let Some(mut internet) = Internet::open()? else { return Ok(()) };
    let a = station(&mut internet, "a.example").await?;
    let b = station(&mut internet, "b.example").await?;
    let alice = a.register("alice").await?;
    let bob = b.register("bob").await?;
    alice.befriend(&bob).await?;

    a.site().wire().cut();
    let (there, back) = (numbered("there"), numbered("back"));
    send_all(&alice, &bob, &there).await?;
    send_all(&bob, &alice, &back).await?;
    // Both have noticed, and wait.
    a.until_apart(b.domain()).await?;
    b.until_apart(a.domain()).await?;
    a.site().wire().mend();
    all_arrive(&bob, &alice, "there", &there).await?;
    all_arrive(&alice, &bob, "back", &back).await
}

async fn in_weather(weather: Weather) -> Result<()> {
    let Some(mut internet) = Internet::open()? else { return Ok(()) };
    let a = station(&mut internet, "a.example").await?;
    let b = station(&mut internet, "b.example").await?;
    a.site().wire().set(weather);
    let alice = a.register("alice").await?;
    let bob = b.register("bob").await?;
    // A room is made on the way: claims, a Welcome, commits.
    alice.befriend(&bob).await?;
    both_ways(&alice, &bob).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_way_is_no_obstacle() -> Result<()> {
    in_weather(Weather { delay: Duration::from_millis(300), ..Weather::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gets_lost_on_the_way_is_sent_again() -> Result<()> {
    in_weather(Weather { delay: Duration::from_millis(10), loss: 0.05, ..Weather::default() }).await
}
