//! What the doctor says: each check, and the first cause.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is wrong there.
    Ok,
    /// Something is.
    Wrong,
    /// It was not looked at, for the reason given.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: `relay`, `policy`, `conduct`, `dns`, `manifest`, `trust`, `clock`, `addresses`, `quic`, `tcp`, `circuit`,
    /// `hello`, `canary`, `backlog`.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, where something is wrong.
    pub remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn wrong(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Wrong, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn skipped(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Skipped, found: why.into(), remedy: None }
    }
}

/// Everything that was found out about one relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The relay.
    pub domain: String,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// The checks, causes before what they cause.
    pub checks: Vec<Check>,
    /// The first thing that is wrong, and what to do: what comes after it may be its consequence.
    pub first: Option<Check>,
}

impl Report {
    /// A report of these checks.
    #[must_use]
    pub fn new(domain: String, checks: Vec<Check>) -> Self {
        let first = checks.iter().find(|check| check.verdict == Verdict::Wrong).cloned();
        Self { domain, healthy: first.is_none(), checks, first }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Wrong => "WRONG",
                Verdict::Skipped => "-",
            };
            writeln!(f, "{verdict:5}  {:9}  {}", check.name, check.found)?;
            if let Some(remedy) = &check.remedy {
                writeln!(f, "                  → {remedy}")?;
            }
        }
        match &self.first {
            None => write!(f, "\nnothing is wrong between this relay and {}", self.domain),
            Some(Check { name, found, remedy, .. }) => {
                let remedy = remedy.as_deref().unwrap_or_default();
                write!(f, "\nfirst cause: {name}: {found}\nwhat to do:  {remedy}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_comes_before_its_consequences() {
        let checks = vec![
            Check::ok("relay", "it runs"),
            Check::skipped("dns", "no name"),
            Check::wrong("clock", "an hour off", "set it"),
            Check::wrong("hello", "refused", "see above"),
        ];
        let report = Report::new("b.example".into(), checks);
        assert!(!report.healthy);
        let text = report.to_string();
        assert!(text.ends_with("first cause: clock: an hour off\nwhat to do:  set it"), "{text}");
        assert!(Report::new("b.example".into(), vec![Check::ok("relay", "it runs")]).healthy);
    }
}
