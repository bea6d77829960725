//! A relay of another make meets ours: JavaScript and js-libp2p, written from `spec/` alone (see `tests/interop`).
//!
//! What crosses the wire is checked once more by a COSE library in Python, which knows nothing of Posthouse.

mod member;
mod other;
mod tools;

use anyhow::{Context as _, Result, ensure};
use posthouse_spec::Cbor as _;
use posthouse_spec::content::MimiContent;
use posthouse_spec::envelope::Item;
use posthouse_tests::{Network, Person};

use member::Member;
use other::Other;
use tools::Tools;

const OURS: &str = "a.localhost";
const THEIRS: &str = "js.localhost";

#[tokio::test]
async fn a_relay_of_another_make_is_understood_and_refused_where_it_is_wrong() -> Result<()> {
    let Some(tools) = Tools::find()? else { return Ok(()) };
    let mut network = Network::new()?;
    network.start(OURS).await?;
    let mut other = Other::start(&tools, &network, network.relay(OURS), THEIRS).await?;
    let played = checks(&tools, &mut other).await;
    played.map_err(|error| other.explain(error, &network))
}

async fn checks(tools: &Tools, other: &mut Other) -> Result<()> {
    other.tell(&serde_json::json!({ "do": "vectors" })).await?;
    let vectors = other.until("vectors").await?;
    for kind in ["written", "malformed", "signed", "refused", "followed"] {
        ensure!(vectors[kind].as_u64() > Some(0), "no vectors that are {kind}: {vectors}");
    }
    other.tell(&serde_json::json!({ "do": "check" })).await?;
    let done = other.until("checked").await?;
    ensure!(done["checks"].as_u64() > Some(20), "{done}");
    tools
        .check_envelope(
            &other.captured("js-manifest.cose"),
            &other.captured("js-envelope.cose"),
            THEIRS,
            OURS,
        )
        .await
}

#[tokio::test]
async fn people_at_relays_of_different_makes_write_to_each_other() -> Result<()> {
    let Some(tools) = Tools::find()? else { return Ok(()) };
    let mut network = Network::new()?;
    network.start(OURS).await?;
    let mut other = Other::start(&tools, &network, network.relay(OURS), THEIRS).await?;
    let played = letters(&tools, &network, &mut other).await;
    played.map_err(|error| other.explain(error, &network))
}

async fn letters(tools: &Tools, network: &Network, other: &mut Other) -> Result<()> {
    let alice = Person::register(network, "alice@a.localhost").await?;
    let mut carol = Member::new("carol", THEIRS)?;
    other.tell(&serde_json::json!({ "do": "member", "member": carol.told() })).await?;
    other.until("member").await?;

    // Alice's relay has never heard of the other one: it looks it up, calls it, and says hello first.
    alice.ok(&["send", "carol@js.localhost", "hello, Carol"]).await?;
    let hello = other.until("hello").await?;
    ensure!(hello["from"] == OURS, "{hello}");
    let text = loop {
        let envelope = other.until("envelope").await?;
        let file = envelope["file"].as_str().context("an envelope is in a file")?.to_owned();
        tools.check_envelope(&other.captured("relay-manifest.cose"), file.as_ref(), OURS, THEIRS).await?;
        for item in other::items(&envelope)? {
            carol.take(&item)?;
        }
        if let Some(text) = carol.read.pop() {
            break text;
        }
    };
    ensure!(text == "hello, Carol", "Carol read {text:?}");

    let reply = Item::Message(carol.say("hello, Alice")?).to_cbor();
    other
        .tell(&serde_json::json!({ "do": "send", "class": "messages", "items": [hex::encode(reply)] }))
        .await?;
    let ack = other.until("acknowledged").await?;
    ensure!(ack["refused"].as_array().is_some_and(Vec::is_empty), "{ack}");
    // The item is durable, so the next look finds it.
    let lines = alice.ok(&["history", "carol@js.localhost"]).await?;
    let read = lines.iter().any(|line| line["direction"] == "in" && line["text"] == "hello, Alice");
    ensure!(read, "Alice has {lines:?}");
    Ok(())
}

fn text_of(content: &[u8]) -> Result<String> {
    let content = MimiContent::from_cbor(content)?;
    Ok(content.as_text().context("a message that is no text")?.to_owned())
}
