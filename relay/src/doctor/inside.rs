//! The running relay looks for itself.

use std::time::Duration;

use posthouse_federation::{Federation, ProbeReport};
use posthouse_spec::{Domain, Millis};

use super::report::{Check, Report};
use super::steps;
use crate::canaries::{Canaries, Flight};
use crate::peers::gather::Desk;
use crate::store::StoreError;

/// How long a canary may take there and back.
const CANARY_PATIENCE: Duration = Duration::from_secs(15);
/// What has waited longer than this on a lane is stuck, milliseconds.
const STUCK_MS: u64 = 5 * 60 * 1000;
/// A second, milliseconds.
const SECOND_MS: u64 = 1000;

/// Looks for what is wrong with the way to `other`, from within the relay of which `desk` is. It may take a minute.
///
/// # Errors
/// This relay's own store failed.
pub async fn inside(
    desk: &Desk<'_>,
    federation: &Federation,
    canaries: &Canaries,
    other: &Domain,
) -> Result<Report, StoreError> {
    let own = desk.store.domain();
    let mut checks = vec![Check::ok("relay", format!("{own} runs"))];
    let standing = desk.rules.standing(other).await?;
    checks.push(steps::policy(other, &standing));
    checks.push(steps::conduct(other, desk.status(other).and_then(|status| status.conduct.as_ref())));
    let probe = federation.probe(other).await;
    checks.push(steps::dns(other, &probe.look_up));
    checks.push(steps::manifest(other, &probe.look_up));
    checks.push(steps::trust(other, &probe));
    checks.push(steps::clock(other, &probe));
    called(own, other, &probe, &mut checks);
    let met = matches!(probe.hello, Some(Ok(_)));
    checks.push(match met {
        true => canary(other, canaries.fly(other, CANARY_PATIENCE).await?),
        false => Check::skipped("canary", "not sent, because there is no hello"),
    });
    checks.push(backlog(desk, federation, other).await?);
    Ok(Report::new(other.to_string(), checks))
}

/// What came of calling it.
fn called(own: &Domain, other: &Domain, probe: &ProbeReport, checks: &mut Vec<Check>) {
    let why_not = match (probe.permitted, &probe.manifest) {
        (false, _) => Some("not called, because it is denied"),
        (true, None) => Some("not called, because no manifest says where it is"),
        (true, Some(_)) if probe.nodes == 0 => Some("not called, because none of its nodes is good now"),
        (true, Some(_)) => None,
    };
    if let Some(why) = why_not {
        let names = ["addresses", "quic", "tcp", "circuit", "hello"];
        checks.extend(names.map(|name| Check::skipped(name, why)));
        return;
    }
    checks.push(steps::addresses(other, probe));
    checks.extend(["quic", "tcp", "circuit"].map(|via| steps::transport(other, via, probe)));
    checks.push(match &probe.hello {
        Some(hello) => steps::hello(own, other, hello),
        None => Check::skipped("hello", "it could not be said, because nothing answers"),
    });
}

fn canary(other: &Domain, flight: Flight) -> Check {
    let log = format!("the operator of {other} should look at its log and its disk");
    match flight {
        Flight::Answered { answered_ms } => {
            Check::ok("canary", format!("a message went there and back in {answered_ms} ms"))
        }
        Flight::Stored { stored_ms } => Check::wrong(
            "canary",
            format!("it was stored there after {stored_ms} ms, but its answer has not come back"),
            format!(
                "the way back is broken: ask the operator of {other} for `posthouse-relay peers doctor` towards this relay"
            ),
        ),
        Flight::Waiting { since: Millis(_) } => Check::wrong(
            "canary",
            format!(
                "{other} says hello, but has acknowledged nothing within {} s: it does not store what it is sent",
                CANARY_PATIENCE.as_secs()
            ),
            log,
        ),
        Flight::Refused { reason, detail } => Check::wrong(
            "canary",
            format!("{other} refused it ({reason}: {detail}): messages may pass all the same"),
            "if that relay is older than this one it does not know canaries yet: its operator should upgrade; if they are too many, wait a minute",
        ),
    }
}

/// What waits, and what came.
async fn backlog(desk: &Desk<'_>, federation: &Federation, other: &Domain) -> Result<Check, StoreError> {
    let lanes = desk.departing(other).await?;
    let waiting: u64 = lanes.iter().map(|lane| lane.waiting).sum();
    let age = lanes.iter().filter_map(|lane| lane.oldest).map(|at| desk.now.0.saturating_sub(at.0)).max();
    let arriving = desk.store.arriving().await?;
    let came: Vec<String> = arriving
        .iter()
        .filter(|lane| lane.origin == *other)
        .map(|lane| {
            let ago = desk.now.0.saturating_sub(lane.last.0) / SECOND_MS;
            format!("the last of {} on {} came {ago} s ago", lane.items, lane.class)
        })
        .collect();
    let came = if came.is_empty() { "nothing ever came from it".to_owned() } else { came.join(", ") };
    let Some(age) = age else { return Ok(Check::ok("backlog", format!("nothing waits for it; {came}"))) };
    let found = format!("{waiting} items wait for it, the oldest for {} s; {came}", age / SECOND_MS);
    if age < STUCK_MS {
        return Ok(Check::ok("backlog", found));
    }
    let error =
        federation.peers().into_iter().find(|peer| peer.domain == *other).and_then(|peer| peer.last_error);
    let remedy = match error {
        Some(error) => format!("the last error says why: {error}"),
        None => format!(
            "the log of {other} should say why it takes nothing; it is sent when the checks above are mended"
        ),
    };
    Ok(Check::wrong("backlog", found, remedy))
}
