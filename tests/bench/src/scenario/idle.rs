//! Connections that do nothing: what each of them costs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use posthouse_spec::{MailboxSeq, Number};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{OTHER_SOCKETS, home, settings};
use crate::args::{Args, Scenario};
use crate::client::{Home, Person, Socket};
use crate::machine::check_open_files;
use crate::relay::{Ground, Network};
use crate::report::Row;
use crate::stats::rounded;

/// People who register or log in at the same time.
const AT_ONCE: usize = 32;
/// Connections before the first reading: what a relay sets up once is no cost of each.
const FIRST: u32 = 32;
/// How long the relay has for what it does behind a connection, before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    check_open_files(u64::from(args.connections + FIRST))?;
    let sockets = args.connections + FIRST + OTHER_SOCKETS;
    let mut network = Network::start(&["a.localhost"], ground, sockets).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("connections".into(), json!(args.connections));
    let mut people = register(&network, args.connections + FIRST).await?;
    // A fresh process: memory that registrations left behind would hide what connections take.
    for relay in network.relays_mut() {
        relay.kill().await?;
        relay.start().await?;
    }
    let relay = network.relays().first().context("the scenario has a relay")?;
    let mut held = JoinSet::new();
    let rest = people.split_off(FIRST as usize);
    connect(&home(relay).await?, people, &mut held).await?;
    sleep(SETTLE).await;
    let (memory, cpu) = (relay.resident_kib()?, relay.cpu_seconds()?);
    connect(&home(relay).await?, rest, &mut held).await?;
    let cpu = relay.cpu_seconds()? - cpu;
    sleep(SETTLE).await;
    let grown = relay.resident_kib()?.saturating_sub(memory);
    if let Some(ended) = held.try_join_next() {
        return Err(ended?.context("a connection that did nothing ended"));
    }
    ensure!(held.len() == (args.connections + FIRST) as usize, "not all connections are open");
    let connections = f64::from(args.connections);
    settings.insert("rss_kib_before".into(), json!(memory));
    let mut row = Row::new(Scenario::Idle, settings);
    row.rss_kib_per_connection = rounded(grown as f64 / connections, 2);
    row.relay_cpu_ms_per_login = rounded(cpu * 1000.0 / connections, 3);
    Ok(row)
}

async fn register(network: &Network, count: u32) -> Result<Vec<Person>> {
    let relay = network.relays().first().context("the scenario has a relay")?;
    let home = home(relay).await?;
    stream::iter(0..count)
        .map(|index| {
            let home = home.clone();
            async move { Person::register(&home, &format!("idle{index}")).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Logs everybody in and holds their sockets. With the people go the HTTP connections.
async fn connect(home: &Home, people: Vec<Person>, held: &mut JoinSet<anyhow::Error>) -> Result<()> {
    let mut sockets = stream::iter(people)
        .map(|mut person| async move {
            person.reached_by(home);
            person.login().await?;
            person.connect(MailboxSeq(0), Number(0)).await
        })
        .buffer_unordered(AT_ONCE);
    while let Some(socket) = sockets.try_next().await? {
        held.spawn(hold(socket));
    }
    Ok(())
}

/// Reads on, so that pings are answered, until the connection ends.
async fn hold(mut socket: Socket) -> anyhow::Error {
    loop {
        if let Err(error) = socket.next().await {
            return error;
        }
    }
}
