//! `[mailbags]`: who holds envelopes for this relay while it is down, and for whom it holds some itself.

use std::collections::BTreeSet;

use posthouse_spec::Domain;
use posthouse_spec::limits::MAX_HOLDERS;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// A mebibyte, bytes.
const MIB: u64 = 1024 * 1024;
/// A day, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Mailbags, as they were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailbagsConfig {
    /// Relays that hold for this one, in the order in which others try them.
    pub holders: Vec<String>,
    /// Relays for which this one holds.
    pub hold_for: Vec<String>,
    /// MiB held for one destination.
    pub quota_mb: u64,
    /// MiB held for one destination from one origin.
    pub quota_mb_per_origin: u64,
    /// MiB held in all.
    pub total_mb: u64,
    /// Days that a bag is held, and never longer than messages are kept.
    pub days: u64,
    /// Seconds that a relay must have been out of reach before bags are left for it.
    pub leave_after_seconds: u64,
}

impl Default for MailbagsConfig {
    fn default() -> Self {
        Self {
            holders: Vec::new(),
            hold_for: Vec::new(),
            quota_mb: 64,
            quota_mb_per_origin: 16,
            total_mb: 1024,
            days: 30,
            leave_after_seconds: 300,
        }
    }
}

/// Mailbags that are well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailbagSettings {
    /// Relays that hold for this one.
    pub holders: Vec<Domain>,
    /// Relays for which this one holds.
    pub hold_for: BTreeSet<Domain>,
    /// Bytes held for one destination.
    pub quota: u64,
    /// Bytes held for one destination from one origin.
    pub quota_per_origin: u64,
    /// Bytes held in all.
    pub total: u64,
    /// How long a bag is held, milliseconds.
    pub held_ms: u64,
    /// How long a relay must have been out of reach before bags are left for it, milliseconds.
    pub leave_after_ms: u64,
}

impl MailbagsConfig {
    /// Checks the form of every value, for a relay of the domain `own` that keeps messages for `retention_days`.
    pub(super) fn settings(
        &self,
        own: &str,
        retention_days: u64,
        problems: &mut Vec<Problem>,
    ) -> MailbagSettings {
        let holders = domains("mailbags.holders", &self.holders, own, problems);
        let hold_for = domains("mailbags.hold_for", &self.hold_for, own, problems);
        let mut wrong = |key: &str, what: String, fix: &str| problems.push(Problem::new(key, what, fix));
        if holders.len() > MAX_HOLDERS {
            let what = format!("{} holders are more than the {MAX_HOLDERS} of a manifest", holders.len());
            wrong("mailbags.holders", what, "name fewer");
        }
        if self.days == 0 {
            wrong("mailbags.days", "0 days hold nothing".into(), "set it to 1 or more");
        }
        let sizes = [
            ("mailbags.quota_mb_per_origin", self.quota_mb_per_origin, self.quota_mb, "mailbags.quota_mb"),
            ("mailbags.quota_mb", self.quota_mb, self.total_mb, "mailbags.total_mb"),
        ];
        for (key, part, whole, of) in sizes {
            if part == 0 {
                wrong(key, "0 MiB hold nothing".into(), "set it to 1 or more, or empty mailbags.hold_for");
            } else if part > whole {
                wrong(
                    key,
                    format!("{part} is more than {of} ({whole})"),
                    "make it smaller, or the other larger",
                );
            }
        }
        MailbagSettings {
            holders,
            hold_for: hold_for.into_iter().collect(),
            quota: self.quota_mb.saturating_mul(MIB),
            quota_per_origin: self.quota_mb_per_origin.saturating_mul(MIB),
            total: self.total_mb.saturating_mul(MIB),
            held_ms: self.days.min(retention_days).saturating_mul(DAY_MS),
            leave_after_ms: self.leave_after_seconds.saturating_mul(1000),
        }
    }
}

fn domains(key: &str, names: &[String], own: &str, problems: &mut Vec<Problem>) -> Vec<Domain> {
    let mut found: Vec<Domain> = Vec::new();
    for name in names {
        match name.parse::<Domain>() {
            Ok(domain) if domain.as_str() == own => problems.push(Problem::new(
                key,
                format!("`{name}` is this relay itself"),
                "name other relays: what is down can hold nothing",
            )),
            Ok(domain) if found.contains(&domain) => {
                problems.push(Problem::new(key, format!("`{name}` stands there twice"), "name it once"));
            }
            Ok(domain) => found.push(domain),
            Err(error) => {
                problems.push(Problem::new(key, error.to_string(), "write domains, such as \"h.example\""));
            }
        }
    }
    found
}

/// The section of a commented configuration that says what `config` says.
pub(super) fn section(config: &MailbagsConfig) -> String {
    let list = |names: &[String]| {
        let quoted: Vec<String> =
            names.iter().map(|name| toml::Value::String(name.clone()).to_string()).collect();
        format!("[{}]", quoted.join(", "))
    };
    format!(
        r#"[mailbags]
# Relays that hold envelopes for this one while it is down, such as ["h.example"]. They cannot read them; they learn which
# relay sent how much, and when. Their operators must name this relay in their hold_for.
holders = {holders}
# Relays for which this one holds; nobody else may leave anything here.
hold_for = {hold_for}
# MiB held for one relay, of it from one sending relay, and in all.
quota_mb = {quota}
quota_mb_per_origin = {per_origin}
total_mb = {total}
# Days that a mailbag is held; never longer than limits.retention_days.
days = {days}
# Seconds that a relay must have been out of reach before this one leaves bags for it.
leave_after_seconds = {leave_after}
"#,
        holders = list(&config.holders),
        hold_for = list(&config.hold_for),
        quota = config.quota_mb,
        per_origin = config.quota_mb_per_origin,
        total = config.total_mb,
        days = config.days,
        leave_after = config.leave_after_seconds,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut MailbagsConfig)) -> Vec<String> {
        let mut config = MailbagsConfig::default();
        change(&mut config);
        let mut problems = Vec::new();
        config.settings("a.example", 30, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_hold_for_nobody_and_are_fine() {
        assert_eq!(problems(|_| ()), Vec::<String>::new());
        let settings = MailbagsConfig::default().settings("a.example", 30, &mut Vec::new());
        assert!(settings.hold_for.is_empty() && settings.holders.is_empty());
        assert_eq!(settings.leave_after_ms, 5 * 60 * 1000);
    }

    #[test]
    fn a_relay_is_not_its_own_holder() {
        let own = problems(|config| config.holders = vec!["a.example".into()]);
        assert!(own[0].contains("`a.example` is this relay itself"), "{own:?}");
        let five = (1..=5).map(|n| format!("h{n}.example")).collect();
        assert!(problems(|config| config.holders = five)[0].contains("5 holders"));
    }

    #[test]
    fn bags_are_held_no_longer_than_messages_are_kept_and_parts_are_no_larger_than_the_whole() {
        assert!(problems(|config| config.days = 0)[0].contains("mailbags.days"));
        let week = MailbagsConfig::default().settings("a.example", 7, &mut Vec::new());
        assert_eq!(week.held_ms, 7 * DAY_MS);
        assert!(problems(|config| config.quota_mb = 2000)[0].contains("mailbags.total_mb (1024)"));
        assert!(problems(|config| config.quota_mb_per_origin = 0)[0].contains("hold nothing"));
    }
}
