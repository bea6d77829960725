//! What of a changed configuration can be taken over by a relay that runs.

use std::collections::BTreeMap;

use super::written::Config;

/// Keys that need no restart.
const LIVE: [&str; 3] = ["peers.policy", "peers.domains", "log.level"];

/// The keys whose values differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Those that are taken over at once.
    pub live: Vec<String>,
    /// Those that hold from the next start.
    pub at_restart: Vec<String>,
}

/// What differs between two configurations, by key; values may be secret and are not told.
#[must_use]
pub fn differences(old: &Config, new: &Config) -> Differences {
    let (old, new) = (flat(old), flat(new));
    let keys = old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key));
    let mut keys: Vec<String> = keys.cloned().collect();
    keys.sort();
    keys.dedup();
    let (live, at_restart) = keys.into_iter().partition(|key| LIVE.contains(&key.as_str()));
    Differences { live, at_restart }
}

fn flat(config: &Config) -> BTreeMap<String, toml::Value> {
    let mut all = BTreeMap::new();
    // A configuration that was read as TOML can be written as such.
    for (key, value) in toml::Table::try_from(config).unwrap_or_default() {
        match value {
            toml::Value::Table(section) => {
                all.extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            value => drop(all.insert(key, value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_told_from_what_does_not() {
        let old = Config::default();
        let mut new = old.clone();
        assert_eq!(differences(&old, &new), Differences::default());
        new.peers.policy = "allow".into();
        new.log.level = "debug".into();
        new.http.metrics_token = Some("secret".into());
        new.domain = "b.example".into();
        let found = differences(&old, &new);
        assert_eq!(found.live, ["log.level", "peers.policy"]);
        assert_eq!(found.at_restart, ["domain", "http.metrics_token"]);
    }
}
