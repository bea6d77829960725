//! Pairs of people in a closed loop, on one relay or across two.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{OTHER_SOCKETS, conversations, describe_messages, settings};
use crate::args::{Args, Scenario};
use crate::load::closed_loop;
use crate::machine::check_open_files;
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::rounded;

pub(super) async fn run(scenario: Scenario, domains: &[&str], args: &Args, ground: &Ground) -> Result<Row> {
    check_open_files(u64::from(args.pairs) * 2)?;
    let network = Network::start(domains, ground, args.pairs * 2 + OTHER_SOCKETS).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("pairs".into(), json!(args.pairs));
    settings.insert("outstanding".into(), json!(args.outstanding));
    settings.insert("seconds".into(), json!(args.seconds));
    describe_messages(&mut settings);
    let conversations = conversations(&network, args.pairs).await?;
    let time = Duration::from_secs(args.seconds);
    let before: u64 = resident(&network)?;
    let mut measured = closed_loop(&network, conversations, args.outstanding, time).await?;
    settings.insert("rss_kib_before".into(), json!(before));
    settings.insert("rss_kib_after".into(), json!(resident(&network)?));
    let tally = &mut measured.tally;
    let mut row = Row::new(scenario, settings);
    row.delivered_per_s = rounded(measured.delivered_per_s, 1);
    row.relay_cpu_s_per_1000 = rounded(measured.cpu_s_per_1000, 5);
    let mut percentile = |percent| tally.percentile_ms(percent).and_then(|ms| rounded(ms, 3));
    (row.p50_ms, row.p95_ms, row.p99_ms) = (percentile(50), percentile(95), percentile(99));
    Ok(row.with_tally(tally))
}

/// Memory of all relays, KiB: growth under load is a queue without a bound.
fn resident(network: &Network) -> Result<u64> {
    network.relays().iter().map(Relay::resident_kib).sum()
}
