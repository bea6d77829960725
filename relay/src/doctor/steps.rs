//! From what a probe found to checks in words.

use std::fmt::Display;
use std::net::IpAddr;

use posthouse_crypto::manifest::ManifestFault;
use posthouse_federation::conduct::Treatment;
use posthouse_federation::discovery::DiscoveryError;
use posthouse_federation::{Attempt, ConductStatus, LookUp, Meeting, PeerError, ProbeReport};
use posthouse_spec::Domain;
use posthouse_spec::limits::MAX_CLOCK_SKEW_MS;
use posthouse_spec::peer::hello::PeerRule;

use super::hints;
use super::report::Check;
use crate::peers::rules::Standing;

/// How far a web server's clock may be off before it is said to be, milliseconds: it tells whole seconds.
const WEB_SKEW_MS: u64 = MAX_CLOCK_SKEW_MS + 2_000;

/// Whether the operator federates with the relay at all.
pub(super) fn policy(other: &Domain, standing: &Standing) -> Check {
    let rule = standing.rule.map(|(rule, _)| rule.name());
    let whose = rule.map_or_else(
        || format!("no rule of yours, and the configuration's policy is `{}`", standing.policy),
        |rule| format!("your rule says {rule}"),
    );
    if standing.permitted {
        return Check::ok("policy", format!("{other} is permitted: {whose}"));
    }
    let found = format!("you deny {other}: {whose}");
    Check::wrong(
        "policy",
        found,
        format!("`posthouse-relay peers allow {other}`, if it is to be federated with"),
    )
}

/// Whether this relay itself has cut it off.
pub(super) fn conduct(other: &Domain, conduct: Option<&ConductStatus>) -> Check {
    let Some(conduct) = conduct else { return Check::ok("conduct", "it has broken no rule of late") };
    let broken = conduct.broken.iter().map(|(rule, times)| format!("{rule} {times}"));
    let broken = broken.collect::<Vec<_>>().join(", ");
    match conduct.treatment {
        Treatment::Normal => Check::ok("conduct", format!("rules that it has broken: {broken}")),
        Treatment::Slowed(_) => Check::ok(
            "conduct",
            format!("what it opens waits its turn, for the rules that it has broken: {broken}"),
        ),
        Treatment::CutOff(_) => Check::wrong(
            "conduct",
            format!("this relay has cut {other} off for a time, for the rules that it has broken: {broken}"),
            format!(
                "tell its operator which rules; `posthouse-relay peers pardon {other}` lets it back at once"
            ),
        ),
    }
}

/// Whether the name leads anywhere that may be asked.
pub(super) fn dns(other: &Domain, look_up: &LookUp) -> Check {
    let base = match &look_up.base {
        Ok(base) => base,
        Err(error) => return Check::wrong("dns", error.to_string(), "mend the overrides file"),
    };
    match &look_up.resolved {
        None => Check::ok("dns", format!("no name to look up: the manifest is at {base}")),
        Some(Ok(addresses)) => Check::ok("dns", format!("{base} leads to {}", listed(addresses))),
        Some(Err(error @ DiscoveryError::NotPublic { .. })) => Check::wrong(
            "dns",
            error.to_string(),
            format!(
                "if that network is meant, set `peers.private_addresses = true`; if not, {other} must have a public address"
            ),
        ),
        Some(Err(error)) => Check::wrong(
            "dns",
            format!("the name in {base} does not resolve: {error}"),
            format!(
                "check the spelling of {other} and this machine's resolver; its operator should publish an A or AAAA record"
            ),
        ),
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a manifest is served there that speaks for itself.
pub(super) fn manifest(other: &Domain, look_up: &LookUp) -> Check {
    let Some(found) = &look_up.found else {
        return Check::skipped("manifest", "it was not looked for: see `dns`");
    };
    match found {
        Err(error) => {
            let why = error.to_string();
            let remedy = hints::fetch(other, look_up.by_override, &why);
            Check::wrong("manifest", why, remedy)
        }
        Ok(Err(fault @ ManifestFault::Domain { found, .. })) => Check::wrong(
            "manifest",
            fault.to_string(),
            format!(
                "the URL leads to the relay of {found}: correct the overrides file here, or the web server there"
            ),
        ),
        Ok(Err(fault)) => Check::wrong(
            "manifest",
            fault.to_string(),
            format!(
                "its operator should look what is served in the place of its manifest; do not repin {other} before"
            ),
        ),
        Ok(Ok(seq)) => Check::ok("manifest", format!("number {seq} is served, and its signature holds")),
    }
}

/// Whether what is served follows what is pinned, and has nodes that are good now.
pub(super) fn trust(other: &Domain, probe: &ProbeReport) -> Check {
    let ask = format!(
        "ask the operator of {other}, by another way than this one, which manifest is right; then `posthouse-relay peers repin {other}`"
    );
    match &probe.followed {
        _ if probe.frozen => {
            let found =
                "two different manifests of one position were seen (equivocation): nothing newer is followed";
            return Check::wrong("trust", found, ask);
        }
        Some(Err(PeerError::Unknown { why, .. })) => return Check::wrong("trust", why.clone(), ask),
        Some(Err(error)) => return Check::wrong("trust", error.to_string(), ask),
        Some(Ok(())) | None => {}
    }
    let Some(manifest) = &probe.manifest else {
        return Check::skipped("trust", format!("nothing is pinned for {other}, and nothing was found"));
    };
    if probe.permitted && probe.nodes == 0 {
        let found = format!("none of the {} node keys in its manifest is good at this time", probe.lapsed);
        let remedy = format!(
            "the operator of {other} should start its relay, which publishes a new manifest; if it does run, compare the clocks"
        );
        return Check::wrong("trust", found, remedy);
    }
    let lapsed = match probe.lapsed {
        0 => String::new(),
        lapsed => format!("; {lapsed} of its node keys have lapsed or are not good yet"),
    };
    let how = match (probe.pinned, &probe.followed) {
        (None, _) => "pinned just now, for the first time".to_owned(),
        (Some(before), Some(_)) if before != manifest.seq => format!("followed from number {before}"),
        (Some(_), Some(_)) => "the one that is pinned".to_owned(),
        (Some(_), None) => "pinned before".to_owned(),
    };
    Check::ok("trust", format!("number {}: {how}{lapsed}", manifest.seq))
}

/// Whether the clocks agree.
pub(super) fn clock(other: &Domain, probe: &ProbeReport) -> Check {
    let limit = MAX_CLOCK_SKEW_MS / 1000;
    let remedy = format!(
        "set the clock that is wrong, best by NTP: this machine's, or that of {other}; more than {limit} s apart they do not talk"
    );
    if let Some(Err(PeerError::Refused { rule: PeerRule::ClockSkew, detail, .. })) = &probe.hello {
        return Check::wrong("clock", detail.clone(), remedy);
    }
    let met = probe.hello.as_ref().and_then(|hello| hello.as_ref().ok());
    if let Some(met) = met {
        return Check::ok("clock", format!("the clock of {other} is {}", apart(met.ahead_ms())));
    }
    let Some((theirs, ours)) = probe.look_up.clocks else {
        return Check::skipped("clock", "nobody told the time");
    };
    let ahead = theirs.0.cast_signed().wrapping_sub(ours.0.cast_signed());
    let found = format!("the clock of its web server is {}", apart(ahead));
    if ahead.unsigned_abs() > WEB_SKEW_MS {
        Check::wrong("clock", found, remedy)
    } else {
        Check::ok("clock", found)
    }
}

fn apart(ahead_ms: i64) -> String {
    let how = if ahead_ms < 0 { "behind" } else { "ahead" };
    let ms = ahead_ms.unsigned_abs();
    if ms < 10_000 { format!("{ms} ms {how}") } else { format!("{} s {how}", ms / 1000) }
}

/// Whether its manifest names anything that can be called.
pub(super) fn addresses(other: &Domain, probe: &ProbeReport) -> Check {
    let left_out = probe.left_out.join("; ");
    let silent = probe.attempts.iter().all(|attempt| attempt.outcome.is_err());
    match (probe.attempts.len(), probe.left_out.len()) {
        (0, 0) => Check::wrong(
            "addresses",
            "its manifest names no address, and no relay through which it can be reached",
            format!(
                "the operator of {other} should set `peers.announce`, or let itself be reached by circuit"
            ),
        ),
        (0, _) => Check::wrong(
            "addresses",
            format!("none of its addresses can be called: {left_out}"),
            format!("the operator of {other} should announce a public address for QUIC and TCP"),
        ),
        (tried, _) if silent => Check::wrong(
            "addresses",
            format!("nothing answers at any of its {tried} addresses, over QUIC or TCP"),
            format!(
                "ask the operator of {other} whether its relay runs, and whether UDP and TCP reach the ports that its manifest names; if both do, look at this machine's firewall"
            ),
        ),
        (tried, 0) => Check::ok("addresses", format!("{tried} can be called")),
        (tried, _) => Check::ok("addresses", format!("{tried} can be called; left out: {left_out}")),
    }
}

/// Whether it can be reached over one transport: each of its addresses by itself.
pub(super) fn transport(other: &Domain, via: &str, probe: &ProbeReport) -> Check {
    let attempts: Vec<&Attempt> = probe.attempts.iter().filter(|attempt| attempt.via == via).collect();
    if attempts.is_empty() {
        let why = match via {
            "circuit" => "not needed, or none is offered".to_owned(),
            _ => format!("its manifest names no address for it that can be called ({via})"),
        };
        return Check::skipped(via, why);
    }
    let each = attempts.iter().map(|attempt| match &attempt.outcome {
        Ok(took) => format!("{} answers in {} ms", attempt.address, took.as_millis()),
        Err(why) if why.contains(&attempt.address) => why.clone(),
        Err(why) => format!("{}: {why}", attempt.address),
    });
    let found = each.collect::<Vec<_>>().join("; ");
    if attempts.iter().any(|attempt| attempt.outcome.is_ok()) {
        return Check::ok(via, found);
    }
    let remedy = match via {
        "quic" => {
            format!("let UDP pass to that port: in the firewall of {other}, in this one, and in between")
        }
        "tcp" => {
            format!("let TCP pass to that port: in the firewall of {other}, in this one, and in between")
        }
        _ => format!(
            "the relays through which {other} can be reached should be asked why; see `peers doctor` for each of them"
        ),
    };
    Check::wrong(via, found, remedy)
}

/// Whether both would talk to each other.
pub(super) fn hello(own: &Domain, other: &Domain, hello: &Result<Meeting, PeerError>) -> Check {
    match hello {
        Ok(Meeting { versions: (min, max), .. }) => {
            let versions =
                if min == max { format!("version {min}") } else { format!("versions {min} to {max}") };
            Check::ok("hello", format!("both checked each other; {other} speaks {versions}"))
        }
        Err(error) => Check::wrong("hello", words(error), hints::hello(own, other, error)),
    }
}

fn words(error: &dyn Display) -> String {
    error.to_string()
}
