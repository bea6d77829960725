//! One relay of many is dead: latency to the others, without and with it, in turns.
//!
//! It is measured from the moment of its death, so that what a relay does until it knows of it counts. A relay that was
//! killed refuses who calls; one that was stopped swallows everything. The sender to the dead relay goes on writing, and its
//! messages have to arrive after the return like any others.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{OTHER_SOCKETS, describe_messages, home, settings};
use crate::args::{Args, Death, Scenario};
use crate::conversation::Conversation;
use crate::paced::{Doomed, Paced, WARM_UP};
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::rounded;

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    let names: Vec<String> = (0..args.peers).map(|n| format!("p{n}.localhost")).collect();
    let domains: Vec<&str> = ["a.localhost"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut network = Network::start(&domains, ground, OTHER_SOCKETS + args.peers).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("peers".into(), json!(args.peers));
    settings.insert("death".into(), json!(args.death.name()));
    settings.insert("rate_of_each".into(), json!(args.rate));
    settings.insert("seconds".into(), json!(args.seconds));
    describe_messages(&mut settings);
    let mut load = Paced::new(args.rate, args.rounds);
    let mut doomed = Box::pin(start(&network, args, &mut load)).await?;
    let time = Duration::from_secs(args.seconds);
    for round in 0..args.rounds as usize {
        load.run_for(WARM_UP).await?;
        load.measure(round * 2);
        load.run_for(time).await?;
        load.measure(round * 2 + 1);
        let relay = network.relays_mut().last_mut().context("the scenario has relays")?;
        die(relay, args.death).await?;
        load.run_for(time).await?;
        load.pause();
        return_from(relay, args.death).await?;
        doomed.returned(home(relay).await?).await?;
    }
    let found = load.finish().await?;
    found.describe(&mut settings, "p99_ms_none_dead", "p99_ms_one_dead");
    let mut row = Row::new(Scenario::DeadPeer, settings);
    row.p99_ms = rounded(found.with_ms(), 3);
    Ok(row.with_tally(&found.tally))
}

/// One conversation to each of the others, that with the last of them doomed.
async fn start(network: &Network, args: &Args, load: &mut Paced) -> Result<Doomed> {
    let (first, peers) = network.relays().split_first().context("the scenario has relays")?;
    let (last, others) = peers.split_last().context("the scenario has relays")?;
    let alices = home(first).await?;
    // As many as are sent while the relay is dead, and as long again.
    let differ = Duration::from_secs(args.seconds) * 2;
    for (index, peer) in (0..).zip(others) {
        let conversation = Conversation::open(&alices, &home(peer).await?, index).await?;
        load.add(conversation, (index, args.peers), differ).await?;
    }
    let index = args.peers - 1;
    let conversation = Conversation::open(&alices, &home(last).await?, index).await?;
    load.add_doomed(conversation, (index, args.peers), differ).await
}

async fn die(relay: &mut Relay, death: Death) -> Result<()> {
    match death {
        Death::Killed => relay.kill().await,
        Death::Stopped => relay.freeze().await,
    }
}

async fn return_from(relay: &mut Relay, death: Death) -> Result<()> {
    match death {
        Death::Killed => relay.start().await,
        Death::Stopped => relay.thaw().await,
    }
}
