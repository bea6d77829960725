//! One file a scenario.

mod dead_peer;
mod flood;
mod idle;
mod outage;
mod pairs;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value, json};

use crate::args::{Args, Scenario};
use crate::client::Home;
use crate::conversation::{Conversation, SUITE, TEXT_BYTES};
use crate::machine;
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::rounded;

/// Conversations that are prepared at the same time.
const PREPARED_AT_ONCE: usize = 16;
/// Sockets of a relay beside those that a scenario counts: HTTP requests of the preparation.
const OTHER_SOCKETS: u32 = 256;

/// Runs one scenario on fresh relays.
pub(crate) async fn run(scenario: Scenario, args: &Args, ground: &Ground) -> Result<Row> {
    let ran = match scenario {
        Scenario::Pairs => pairs::run(scenario, &["a.localhost"], args, ground).await,
        Scenario::Federation => pairs::run(scenario, &["a.localhost", "b.localhost"], args, ground).await,
        Scenario::Idle => idle::run(args, ground).await,
        Scenario::Outage => Box::pin(outage::run(args, ground)).await,
        Scenario::DeadPeer => Box::pin(dead_peer::run(args, ground)).await,
        Scenario::Flood => Box::pin(flood::run(args, ground)).await,
    };
    ran.with_context(|| format!("running {}", scenario.name()))
}

/// What every scenario says of how it was measured.
fn settings(network: &Network, ground: &Ground) -> Result<Map<String, Value>> {
    let cores = if ground.pinned { "relays on 0, generator on 1" } else { "not pinned" };
    let settings = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "tls": false,
        "durability": "SQLite WAL, synchronous=FULL, answered after the commit",
        "disk_sync_ms": rounded(machine::sync_ms(network.folder())?, 2),
        "cores": cores,
    });
    match settings {
        Value::Object(settings) => Ok(settings),
        _ => Ok(Map::new()),
    }
}

/// Adds what messages were made of.
fn describe_messages(settings: &mut Map<String, Value>) {
    settings.insert("text_bytes".into(), json!(TEXT_BYTES));
    settings.insert("suite".into(), json!(SUITE.name()));
}

async fn home(relay: &Relay) -> Result<Home> {
    Home::discover(relay.address(), relay.domain()).await
}

/// Prepares conversations from people of the first relay to people of the last.
async fn conversations(network: &Network, count: u32) -> Result<Vec<Conversation>> {
    let (Some(first), Some(last)) = (network.relays().first(), network.relays().last()) else {
        return Ok(Vec::new());
    };
    let (alices, bobs) = (home(first).await?, home(last).await?);
    stream::iter(0..count)
        .map(|index| {
            let (alices, bobs) = (alices.clone(), bobs.clone());
            async move {
                let opened = Conversation::open(&alices, &bobs, index).await;
                opened.with_context(|| format!("preparing pair {index}"))
            }
        })
        .buffer_unordered(PREPARED_AT_ONCE)
        .try_collect()
        .await
}

/// KiB as MiB.
fn mib(kib: u64) -> Option<f64> {
    rounded(kib as f64 / 1024.0, 1)
}
