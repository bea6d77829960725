//! Relays at home, behind routers that let nobody in.

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::netns::{Internet, Station};

/// What the public relay's configuration says.
const OFFER: &str = "offer = true";
/// And that of relays at home.
const THROUGH: &str = "through = [\"p.example\"]";

async fn public(internet: &mut Internet) -> Result<Station> {
    let site = internet.public_site()?;
    let mut station = Station::lay_out(internet, site, "p.example", OFFER)?;
    station.start().await?;
    Ok(station)
}

async fn home(internet: &mut Internet, domain: &str) -> Result<Station> {
    let site = internet.home_site()?;
    let mut station = Station::lay_out(internet, site, domain, THROUGH)?;
    station.start().await?;
    station.until_logged("this relay can be reached through another one").await?;
    Ok(station)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_at_home_meet_by_circuit_and_then_through_a_punched_hole() -> Result<()> {
    let Some(mut internet) = Internet::open()? else { return Ok(()) };
    let p = public(&mut internet).await?;
    let a = home(&mut internet, "a.example").await?;
    let mut b = home(&mut internet, "b.example").await?;
    let alice = a.register("alice").await?;
    let bob = b.register("bob").await?;

    // While nothing passes between the two routers, their first letters have no other way than the circuit.
    a.site().shut_out(b.site())?;
    alice.befriend(&bob).await?;
    for (here, there) in [(&a, &b), (&b, &a)] {
        let via = here.via(there.domain()).await?;
        ensure!(via.as_deref() == Some("circuit"), "{} goes by {via:?}", here.domain());
    }
    ensure!(p.whole_log()?.contains("a circuit is carried"), "the public relay carried it: {}", p.log());

    // The next circuit, with the way open, is the beginning of a direct connection.
    a.site().let_pass()?;
    b.stop().await?;
    b.start().await?;
    alice.send(&bob, "the way is open").await?;
    bob.expect(&["the way is open"]).await?;
    for (here, there) in [(&a, &b), (&b, &a)] {
        let via = here.until_via(there.domain(), |via| via != "circuit").await?;
        ensure!(via == "quic", "QUIC comes first, not {via}");
    }
    a.until_logged("a direct connection has taken the circuit's place").await?;

    // With the public relay gone there is nothing but the punched hole.
    let mut p = p;
    p.stop().await?;
    alice.send(&bob, "straight to you").await?;
    bob.expect(&["straight to you"]).await?;
    bob.send(&alice, "and back").await?;
    alice.expect(&["and back"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_outside_is_the_first_to_call_one_at_home() -> Result<()> {
    let Some(mut internet) = Internet::open()? else { return Ok(()) };
    let _p = public(&mut internet).await?;
    let b = home(&mut internet, "b.example").await?;
    let site = internet.public_site()?;
    let mut a = Station::lay_out(&internet, site, "a.example", "")?;
    a.start().await?;
    let alice = a.register("alice").await?;
    let bob = b.register("bob").await?;
    alice.befriend(&bob).await.with_context(|| format!("{}\n\n{}", a.log(), b.log()))?;
    ensure!(a.whole_log()?.contains("via=\"circuit\""), "the call came by circuit: {}", a.log());
    a.until_via("b.example", |via| via == "quic").await?;
    alice.send(&bob, "no port was opened").await?;
    bob.expect(&["no port was opened"]).await?;
    // What they have tried for each other tells where each stands.
    a.until_standing("public").await?;
    b.until_standing("private").await
}
