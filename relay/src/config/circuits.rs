//! `[circuits]`: relays through which this one is reached where it has no public address, and to whom it lends its own.

use std::collections::BTreeSet;

use posthouse_federation::Circuits;
use posthouse_spec::Domain;
use posthouse_spec::limits::MAX_CIRCUITS;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Circuits, as they were written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitsConfig {
    /// Relays through which this one is reached.
    pub through: Vec<String>,
    /// Whether other relays may be reached through this one.
    pub offer: bool,
    /// Which; all permitted ones if none is named.
    pub offer_to: Vec<String>,
}

impl CircuitsConfig {
    /// Checks the form of every value, for a relay of the domain `own`.
    pub(super) fn settings(&self, own: &str, problems: &mut Vec<Problem>) -> Circuits {
        let through = domains("circuits.through", &self.through, own, problems);
        if through.len() > MAX_CIRCUITS {
            let what = format!("{} relays are more than the {MAX_CIRCUITS} of a manifest", through.len());
            problems.push(Problem::new("circuits.through", what, "name fewer"));
        }
        let offer_to: BTreeSet<Domain> =
            domains("circuits.offer_to", &self.offer_to, own, problems).into_iter().collect();
        if !self.offer && !self.offer_to.is_empty() {
            problems.push(Problem::new(
                "circuits.offer_to",
                "it names relays, but circuits.offer is false",
                "set circuits.offer = true, or empty the list",
            ));
        }
        Circuits { through, offer_to: self.offer.then_some(offer_to) }
    }
}

fn domains(key: &str, names: &[String], own: &str, problems: &mut Vec<Problem>) -> Vec<Domain> {
    let mut found: Vec<Domain> = Vec::new();
    for name in names {
        match name.parse::<Domain>() {
            Ok(domain) if domain.as_str() == own => {
                problems.push(Problem::new(
                    key,
                    format!("`{name}` is this relay itself"),
                    "name another relay, one with a public address",
                ));
            }
            Ok(domain) if found.contains(&domain) => {
                problems.push(Problem::new(key, format!("`{name}` stands there twice"), "name it once"));
            }
            Ok(domain) => found.push(domain),
            Err(error) => {
                problems.push(Problem::new(key, error.to_string(), "write domains, such as \"p.example\""));
            }
        }
    }
    found
}

/// The section of a commented configuration that says what `config` says.
pub(super) fn section(config: &CircuitsConfig) -> String {
    let list = |names: &[String]| {
        let quoted: Vec<String> =
            names.iter().map(|name| toml::Value::String(name.clone()).to_string()).collect();
        format!("[{}]", quoted.join(", "))
    };
    format!(
        r#"[circuits]
# For a relay at home: relays with a public address through which it is reached, such as ["p.example"]. No port needs to
# be opened; the connection becomes a direct one where the routers allow it. Those relays see whom it talks to, and when,
# and nothing else.
through = {through}
# Whether other relays may be reached through this one, and which: all that may federate with it, if none is named.
offer = {offer}
offer_to = {offer_to}
"#,
        through = list(&config.through),
        offer = config.offer,
        offer_to = list(&config.offer_to),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut CircuitsConfig)) -> Vec<String> {
        let mut config = CircuitsConfig::default();
        change(&mut config);
        let mut problems = Vec::new();
        config.settings("a.example", &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_offered_unless_said() {
        let mut problems = Vec::new();
        assert_eq!(CircuitsConfig::default().settings("a.example", &mut problems), Circuits::default());
        let all = CircuitsConfig { offer: true, ..CircuitsConfig::default() };
        assert_eq!(all.settings("a.example", &mut problems).offer_to, Some(BTreeSet::new()));
        assert!(problems.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        assert!(problems(|c| c.through = vec!["a.example".into()])[0].contains("this relay itself"));
        assert!(problems(|c| c.offer_to = vec!["b.example".into()])[0].contains("circuits.offer is false"));
        let many = (0..=MAX_CIRCUITS).map(|n| format!("p{n}.example")).collect();
        assert!(problems(|c| c.through = many)[0].contains("more than"));
    }
}
