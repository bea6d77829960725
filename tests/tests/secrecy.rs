//! What a relay is unable to do, and what its disk does not hold.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Search, Ship};

fn feature_tree(package: &str) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(Ship::workspace())
        .args(["tree", "--package", package, "--edges", "features,normal", "--prefix", "none", "--offline"])
        .output()
        .context("running cargo tree")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_relay_is_built_without_the_side_that_reads() -> Result<()> {
    let member = r#"posthouse-crypto feature "member""#;
    let relay = feature_tree("posthouse-relay")?;
    ensure!(relay.contains("posthouse-crypto"), "the relay's tree holds no crypto at all");
    ensure!(!relay.contains(member), "the relay is built with the member's side");
    ensure!(!relay.contains("posthouse-client"), "the relay is built with the client");
    // The client's tree shows that the name looked for is the right one.
    ensure!(feature_tree("posthouse")?.contains(member), "the client is built without the member's side");
    Ok(())
}

#[tokio::test]
async fn the_relays_disks_hold_no_plaintext_while_messages_wait_nor_afterwards() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    let secrets = ["the treasure lies under the third oak", "and the map is in the blue teapot"];
    alice.befriend(&bob).await?;
    let passphrase = posthouse_tests::PASSPHRASE;

    let nothing_found = || -> Result<()> {
        for relay in network.relays() {
            let texts = [secrets[0], secrets[1], "hello yourself", passphrase];
            let search = Search::folder(relay.folder(), &texts)?;
            ensure!(search.found.is_empty(), "{} holds {:?}", relay.domain(), search.found);
            let control = Search::folder(&relay.data(), &[relay.domain()])?;
            ensure!(!control.found.is_empty(), "the search finds nothing at all at {}", relay.domain());
        }
        Ok(())
    };
    network.relay("b.localhost").terminate().await?;
    alice.send(&bob, secrets[0]).await?;
    nothing_found()?;
    network.relay("b.localhost").start().await?;
    bob.expect(&[secrets[0]]).await?;
    bob.send(&alice, secrets[1]).await?;
    alice.expect(&[secrets[1]]).await?;
    nothing_found()?;
    for person in [&alice, &bob] {
        let vault = Search::folder(&person.profile(), &[secrets[0], secrets[1]])?;
        ensure!(vault.found.is_empty(), "the vault of {} holds {:?}", person.alias(), vault.found);
    }
    Ok(())
}
