//! Rules on other relays: in force at once, durable, and above what the configuration says.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use posthouse_tests::{Network, Person, Relay};

use crate::operator;

#[tokio::test]
async fn what_waits_for_a_denied_relay_stays_and_goes_once_it_is_allowed() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let relay = network.relay("a.localhost");

    let (_, list) = operator(relay, &["list"]).await?;
    ensure!(list[0]["domain"] == "b.localhost" && list[0]["state"]["is"] == "connected", "{list:#}");
    operator(relay, &["deny", "b.localhost"]).await?;
    let (_, list) = operator(relay, &["list"]).await?;
    ensure!(list[0]["state"]["is"] == "denied" && list[0]["rule"]["rule"] == "deny", "{list:#}");

    alice.send(&bob, "while you are denied").await?;
    let (_, shown) = operator(relay, &["show", "b.localhost"]).await?;
    ensure!(shown["permitted"] == false, "{shown:#}");
    let waiting = shown["backlog"].as_array().into_iter().flatten();
    ensure!(waiting.clone().any(|lane| lane["class"] == "messages" && lane["items"] == 1), "{shown:#}");
    ensure!(
        shown["manifest"]["seq"].is_u64() && shown["manifest"]["nodes"][0]["peer_id"].is_string(),
        "{shown:#}"
    );

    // A rule outlives the process, and can be read and changed while there is none.
    relay.terminate().await?;
    let (code, list) = operator(relay, &["list"]).await?;
    ensure!(code == Some(0) && list[0]["state"]["is"] == "denied", "{list:#}");
    relay.start().await?;
    counted(relay, "posthouse_lane_oldest_seconds{relay=\"b.localhost\",class=\"messages\"}").await?;
    let (_, denied) = operator(relay, &["deny", "b.localhost"]).await?;
    ensure!(denied["waiting"] == 1, "the operator is told what waits: {denied:#}");

    let (_, allowed) = operator(relay, &["allow", "b.localhost"]).await?;
    ensure!(allowed["permitted"] == true, "{allowed:#}");
    bob.expect(&["while you are denied"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_rule_is_changed_while_no_relay_runs() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let relay = network.relay("a.localhost");
    relay.terminate().await?;
    let (code, changed) = operator(relay, &["deny", "b.localhost"]).await?;
    ensure!(code == Some(0) && changed["permitted"] == false, "{changed:#}");
    relay.start().await?;
    let (_, list) = operator(relay, &["list"]).await?;
    ensure!(list[0]["state"]["is"] == "denied", "{list:#}");
    let (_, forgotten) = operator(relay, &["forget", "b.localhost"]).await?;
    ensure!(forgotten["permitted"] == true && forgotten["rule"].is_null(), "{forgotten:#}");
    Ok(())
}

#[tokio::test]
async fn a_rule_goes_before_the_configuration() -> Result<()> {
    let mut network = Network::of_two().await?;
    network.add("c.localhost").await?;
    let relay = network.relay("c.localhost");
    relay.set_variable("POSTHOUSE_PEERS_POLICY", "allow");
    relay.start().await?;
    let checked = relay.admin(&["check"]).await?;
    ensure!(checked.contains("only with the domains that are listed"), "{checked}");
    let (code, report) = operator(relay, &["doctor", "b.localhost"]).await?;
    ensure!(code == Some(1) && report["first"]["name"] == "policy", "{report:#}");
    operator(relay, &["allow", "b.localhost"]).await?;
    crate::healthy(relay, "b.localhost").await?;
    Ok(())
}

/// How often a relay is asked for something, each time waiting for its answer, until it must have done what it was told.
const ASKED: usize = 5_000;

/// Waits until the metrics have a line that begins so.
async fn counted(relay: &Relay, name: &str) -> Result<()> {
    for _ in 0..ASKED {
        let text = reqwest::get(format!("{}/metrics", relay.direct_url())).await?.text().await?;
        if text.lines().any(|line| line.starts_with(name)) {
            return Ok(());
        }
    }
    anyhow::bail!("the metrics have no {name}")
}

/// Sends SIGHUP, and waits until the relay's log says so once more.
async fn hang_up(relay: &Relay, words: &str) -> Result<()> {
    let times = || anyhow::Ok(std::fs::read_to_string(relay.log())?.matches(words).count());
    let before = times()?;
    let killed =
        tokio::process::Command::new("kill").args(["-HUP", &relay.pid().to_string()]).status().await?;
    ensure!(killed.success(), "no SIGHUP was sent");
    for _ in 0..ASKED {
        reqwest::get(format!("{}/readyz", relay.direct_url())).await?;
        if times()? > before {
            return Ok(());
        }
    }
    anyhow::bail!("the log never said `{words}` again")
}

#[tokio::test]
async fn a_configuration_is_read_again_on_sighup_and_a_bad_one_changes_nothing() -> Result<()> {
    let network = Network::of_two().await?;
    let relay = network.relay("a.localhost");
    crate::healthy(relay, "b.localhost").await?;
    let text = std::fs::read_to_string(relay.config())?;
    let with = |policy: &str| {
        text.replace("[peers]", &format!("[peers]\npolicy = \"{policy}\"\ndomains = [\"b.localhost\"]"))
    };

    std::fs::write(relay.config(), with("deny"))?;
    hang_up(relay, "the configuration was read again").await?;
    let (_, shown) = operator(relay, &["show", "b.localhost"]).await?;
    ensure!(shown["state"]["is"] == "denied" && shown["policy"] == "deny", "{shown:#}");

    std::fs::write(relay.config(), with("nonsense"))?;
    hang_up(relay, "the configuration is rejected").await?;
    // The commands read it too.
    std::fs::write(relay.config(), with("deny"))?;
    let (_, shown) = operator(relay, &["show", "b.localhost"]).await?;
    ensure!(shown["state"]["is"] == "denied", "{shown:#}");

    std::fs::write(relay.config(), with("allow"))?;
    hang_up(relay, "the configuration was read again").await?;
    crate::healthy(relay, "b.localhost").await?;
    Ok(())
}

#[tokio::test]
async fn commands_say_what_is_wrong_with_themselves() -> Result<()> {
    let mut network = Network::new()?;
    network.start("a.localhost").await?;
    let relay = network.relay("a.localhost");
    let mode = std::fs::metadata(relay.data().join("control.sock"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    for (args, words) in [
        (&["peers", "deny", "a.localhost"][..], "is this relay itself"),
        (&["peers", "show", "nobody.example"], "nothing is known of nobody.example"),
        (&["peers", "allow", "Not A Domain"], "domain"),
    ] {
        let output = relay.operate(args).await?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && error.contains(words), "{args:?}: {error}");
    }
    relay.terminate().await?;
    let output = relay.operate(&["peers", "repin", "b.localhost"]).await?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(error.contains("no relay runs on") && error.contains("posthouse-relay serve"), "{error}");
    Ok(())
}
