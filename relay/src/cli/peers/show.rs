//! Everything about one relay, in words.

use std::fmt::Write as _;

use posthouse_spec::Millis;

use super::table::state;
use super::when::{age, utc};
use crate::peers::facts::{Changed, Conduct, Detail, OwnRule, Pardoned, Pinned, State};

/// What a change of a rule did.
pub(super) fn changed(changed: &Changed) -> String {
    let domain = &changed.domain;
    let why = match &changed.rule {
        Some(OwnRule { rule, .. }) => format!("your rule says {rule}"),
        None => format!("no rule of yours is left, the configuration's policy is `{}`", changed.policy),
    };
    if changed.permitted {
        return format!("{domain} is federated with: {why}");
    }
    let waiting = match changed.waiting {
        0 => "nothing waits for it".to_owned(),
        items => format!("{items} items wait for it: they stay until it is allowed again, or they expire"),
    };
    format!("{domain} is not federated with: {why}; {waiting}")
}

/// Everything about one relay.
pub(super) fn detail(detail: &Detail, now: Millis) -> String {
    let mut text = Lines(String::new());
    text.line("relay", &detail.summary.domain);
    text.line("state", &long_state(&detail.summary.state, now));
    let rule = detail.summary.rule.as_ref();
    let rule = rule.map_or_else(
        || "no rule of yours".to_owned(),
        |rule| format!("your rule since {}: {}", utc(rule.since), rule.rule),
    );
    let permitted = if detail.permitted { "permitted" } else { "denied" };
    text.line("policy", &format!("{permitted} ({rule}; the configuration's policy is `{}`)", detail.policy));
    if detail.summary.backlog.is_empty() {
        text.line("waiting", "nothing");
    }
    for lane in &detail.summary.backlog {
        let oldest = lane.oldest_ms.map(|ms| format!(", the oldest for {}", age(ms))).unwrap_or_default();
        text.line("waiting", &format!("{} on {}{oldest}", lane.items, lane.class));
    }
    for lane in &detail.arrived {
        text.line("came", &format!("{} on {}, the last {}", lane.items, lane.class, utc(lane.last)));
    }
    if let Some(hello) = &detail.hello {
        let how = if hello.ahead_ms < 0 { "behind" } else { "ahead" };
        text.line(
            "hello",
            &format!(
                "{}, versions {} to {}, its clock {} ms {how}",
                utc(hello.at),
                hello.min_version,
                hello.max_version,
                hello.ahead_ms.unsigned_abs()
            ),
        );
    }
    if let Some(lane) = &detail.restored {
        let what = if lane.whose == "here" {
            "this relay was restored from a copy; what waited was sent again"
        } else {
            "it was restored from a copy, or has forgotten a silent lane; what it had acknowledged and lost is gone, \
             and who had sent that is not known here"
        };
        text.line("restored", &format!("the {} lane began anew {}: {what}", lane.class, utc(lane.found)));
    }
    if let Some(error) = &detail.summary.last_error {
        text.line("last error", error);
    }
    match &detail.manifest {
        Some(manifest) => pinned(&mut text, manifest),
        None => text.line("manifest", "none is pinned"),
    }
    if let Some(conduct) = &detail.conduct {
        text.line("conduct", &treatment(conduct));
    }
    for found in &detail.evidence {
        let settled =
            if found.settled { "settled by repin" } else { "NOT SETTLED: ask its operator, then repin" };
        text.line(
            "evidence",
            &format!(
                "two manifests {} ({} was pinned, {} came {}): {settled}",
                found.seq,
                found.pinned,
                found.other,
                utc(found.found)
            ),
        );
    }
    text.0.trim_end().to_owned()
}

fn treatment(conduct: &Conduct) -> String {
    let how = match (conduct.treatment.as_str(), conduct.until) {
        ("cut-off", Some(until)) => format!("CUT OFF until {}; `peers pardon` lets it back now", utc(until)),
        ("slowed", _) => format!("slowed ({} points, cut off at 400)", conduct.points),
        _ => format!("served like any other ({} points, slowed at 100)", conduct.points),
    };
    let rules = conduct.broken.iter().map(|broken| format!("{} {}", broken.rule, broken.times));
    format!("{how}; rules broken: {}", rules.collect::<Vec<_>>().join(", "))
}

/// What a pardon did.
pub(super) fn pardoned(pardoned: &Pardoned) -> String {
    let domain = &pardoned.domain;
    if pardoned.anything {
        format!("{domain} is forgiven: it is neither slowed nor cut off")
    } else {
        format!("{domain} has broken no rule that this relay remembers")
    }
}

fn long_state(now_is: &State, now: Millis) -> String {
    match now_is {
        State::Connected { via, address, called } => {
            let called = if called == "them" { "it has called" } else { "this relay has called" };
            format!("connected via {via}, {address} ({called})")
        }
        other => state(other, now),
    }
}

fn pinned(text: &mut Lines, manifest: &Pinned) {
    text.line("manifest", &format!("{} of {}", manifest.seq, utc(manifest.created)));
    text.line("lineage", &manifest.lineage);
    text.line("root key", &manifest.root);
    text.line("ordering key", &manifest.ordering);
    for node in &manifest.nodes {
        text.line("node", &format!("{} until {}", node.peer_id, utc(node.not_after)));
    }
    for address in &manifest.addresses {
        text.line("address", address);
    }
    text.line("client url", &manifest.client_url);
    if !manifest.holders.is_empty() {
        text.line("holders", &manifest.holders.join(", "));
    }
    if !manifest.circuits.is_empty() {
        text.line("circuits", &manifest.circuits.join(", "));
    }
}

struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{name:12}  {value}");
    }
}
