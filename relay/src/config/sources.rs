//! Where a configuration comes from, and which names it may use.

use std::path::Path;

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::problem::{Problem, Problems};
use super::written::Config;

/// The prefix of environment variables: `http.listen` is `POSTHOUSE_HTTP_LISTEN`.
const ENV_PREFIX: &str = "POSTHOUSE_";

/// Every key; a test holds that it is the struct's fields.
pub(super) const KEYS: &[&str] = &[
    "domain",
    "data",
    "registration",
    "public_url",
    "http.listen",
    "http.certificate",
    "http.key",
    "http.metrics_token",
    "http.max_connections",
    "peers.listen",
    "peers.announce",
    "peers.overrides",
    "peers.policy",
    "peers.domains",
    "peers.private_addresses",
    "peers.gossip",
    "mailbags.holders",
    "mailbags.hold_for",
    "mailbags.quota_mb",
    "mailbags.quota_mb_per_origin",
    "mailbags.total_mb",
    "mailbags.days",
    "mailbags.leave_after_seconds",
    "circuits.through",
    "circuits.offer",
    "circuits.offer_to",
    "peer_limits.messages_per_second",
    "peer_limits.mb_per_second",
    "peer_limits.requests_per_second",
    "peer_limits.connections_per_minute",
    "limits.retention_days",
    "limits.registrations_per_minute",
    "limits.logins_per_minute",
    "limits.claims_per_minute",
    "limits.outbox_items_per_relay",
    "limits.outbox_mb_per_relay",
    "log.format",
    "log.level",
];

/// Keys whose values are text even where they look like a number.
const LISTS: &[&str] = &[
    "peers.announce",
    "peers.domains",
    "mailbags.holders",
    "mailbags.hold_for",
    "circuits.through",
    "circuits.offer_to",
];

/// How far a name may be from a known one to be taken for a slip of it, edits.
const MAX_SLIP: usize = 3;

/// Puts a configuration together.
///
/// `environment` is the process's variables, and `flags` pairs of a key and its value.
///
/// # Errors
/// Everything that is wrong with the names and types.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Vec<(&'static str, String)>,
) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = file {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                problems.extend(unknown_in_file(path, &text));
                figment = figment.merge(Toml::string(&text));
            }
            Err(error) => problems.push(Problem::new(
                path.display().to_string(),
                format!("the configuration file cannot be read ({error})"),
                "check the path given to --config, or write one with `posthouse-relay init`",
            )),
        }
    }
    let (variables, slips) = from_environment(environment);
    problems.extend(slips);
    figment = figment.merge(Pairs("environment", variables)).merge(Pairs(
        "command line",
        flags.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect(),
    ));
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    figment.extract().map_err(|errors| Problems(errors.into_iter().map(|e| of_type(&e)).collect()))
}

fn of_type(error: &figment::Error) -> Problem {
    let key = error.path.join(".");
    let place = error.metadata.as_ref().map(|m| m.name.to_string()).unwrap_or_default();
    Problem::new(
        if key.is_empty() { "relay.toml".to_owned() } else { key },
        format!("{} ({place})", error.kind),
        "write a value of the kind that `posthouse-relay init` shows for it",
    )
}

fn unknown_in_file(path: &Path, text: &str) -> Vec<Problem> {
    match text.parse::<toml::Table>() {
        Ok(table) => {
            let mut found = Vec::new();
            walk("", &table, &mut found);
            found.iter().map(|key| unknown(&path.display().to_string(), key)).collect()
        }
        Err(error) => vec![Problem::new(
            path.display().to_string(),
            format!("it is not TOML: {}", error.to_string().trim_end().replace('\n', " ")),
            "mend that line",
        )],
    }
}

fn walk(prefix: &str, table: &toml::Table, unknown: &mut Vec<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let section = KEYS.iter().any(|known| known.starts_with(&format!("{key}.")));
        match value {
            toml::Value::Table(inner) if section => walk(&key, inner, unknown),
            _ if KEYS.contains(&key.as_str()) || section => {}
            _ => unknown.push(key),
        }
    }
}

fn unknown(place: &str, key: &str) -> Problem {
    let sections = KEYS.iter().filter_map(|known| Some(known.split_once('.')?.0.to_owned()));
    let (nearest, distance) = nearest(key, KEYS.iter().map(|k| (*k).to_owned()).chain(sections));
    let last = key.rsplit('.').next().unwrap_or(key);
    let same_name = KEYS.iter().find(|known| known.rsplit('.').next() == Some(last));
    let fix = match same_name {
        Some(known) => format!("did you mean `{known}`?"),
        None if distance <= MAX_SLIP => format!("did you mean `{nearest}`?"),
        None => format!("the nearest known key is `{nearest}`; `posthouse-relay init` writes all of them"),
    };
    Problem::new(place, format!("there is no key `{key}`"), fix)
}

fn variable(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Other programs of this family have variables with the same prefix, so only what looks like a slip is refused.
fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Vec<(String, Value)>, Vec<Problem>) {
    let mut values = Vec::new();
    let mut slips = Vec::new();
    for (name, text) in environment {
        if !name.starts_with(ENV_PREFIX) {
            continue;
        }
        if let Some(key) = KEYS.iter().find(|key| variable(key) == name) {
            values.push(((*key).to_owned(), environment_value(key, text)));
            continue;
        }
        let (nearest, distance) = nearest(&name, KEYS.iter().map(|key| variable(key)));
        if distance < MAX_SLIP {
            slips.push(Problem::new(
                "environment",
                format!("there is no variable `{name}`"),
                format!("did you mean `{nearest}`?"),
            ));
        }
    }
    (values, slips)
}

fn environment_value(key: &str, text: String) -> Value {
    if LISTS.contains(&key) && !text.starts_with('[') {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        return Value::from(parts.map(|part| Value::from(part.to_owned())).collect::<Vec<_>>());
    }
    let section = key.split('.').next().unwrap_or(key);
    let typed = section == "limits"
        || section == "mailbags"
        || section == "peer_limits"
        || LISTS.contains(&key)
        || matches!(
            key,
            "http.max_connections" | "peers.private_addresses" | "peers.gossip" | "circuits.offer"
        );
    match text.parse::<Value>() {
        Ok(value) if typed => value,
        _ => Value::from(text),
    }
}

fn nearest(name: &str, known: impl Iterator<Item = String>) -> (String, usize) {
    known
        .map(|candidate| {
            let distance = edits(name, &candidate);
            (candidate, distance)
        })
        .min_by_key(|(_, distance)| *distance)
        .unwrap_or_default()
}

/// The Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            let changed = diagonal + usize::from(x != *y);
            row[j + 1] = changed.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Keys with dots and their values, as a source of configuration.
struct Pairs(&'static str, Vec<(String, Value)>);

impl Provider for Pairs {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut all = Figment::new();
        for (key, value) in &self.1 {
            all = all.merge(Serialized::default(key, value));
        }
        all.data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(prefix: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (name, inner) in map {
                    let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    leaves(&key, inner, found);
                }
            }
            _ => found.push(prefix.to_owned()),
        }
    }

    #[test]
    fn the_table_of_keys_is_the_structs_fields() {
        let mut fields = Vec::new();
        leaves("", &serde_json::to_value(Config::default()).unwrap(), &mut fields);
        let mut keys: Vec<String> = KEYS.iter().map(|k| (*k).to_owned()).collect();
        fields.sort();
        keys.sort();
        assert_eq!(fields, keys);
    }

    #[test]
    fn the_later_source_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, "domain = \"file.example\"\n[http]\nlisten = \"127.0.0.1:1\"\n[peers]\nlisten = \"127.0.0.1:2\"\n")
            .unwrap();
        let environment = [
            ("POSTHOUSE_HTTP_LISTEN", "127.0.0.1:3"),
            ("POSTHOUSE_PEERS_LISTEN", "127.0.0.1:4"),
            ("POSTHOUSE_LIMITS_RETENTION_DAYS", "7"),
            ("POSTHOUSE_PEERS_DOMAINS", "a.example, b.example"),
            ("POSTHOUSE_HOME", "/elsewhere"),
        ];
        let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let flags = vec![("peers.listen", "127.0.0.1:5".to_owned())];
        let config = load(Some(&file), environment, flags).unwrap();
        assert_eq!(config.domain, "file.example");
        assert_eq!(config.http.listen, "127.0.0.1:3");
        assert_eq!(config.peers.listen, "127.0.0.1:5");
        assert_eq!(config.limits.retention_days, 7);
        assert_eq!(config.peers.domains, ["a.example", "b.example"]);
        assert_eq!(config.registration, "open");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(
            &file,
            "domian = \"a.example\"\n[http]\nlissten = \"x\"\n[storage]\nretention_days = 3\n[peer]\npolicy = \"deny\"\n",
        )
        .unwrap();
        let Problems(problems) = load(Some(&file), [], vec![]).unwrap_err();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(text[0].contains("no key `domian`; did you mean `domain`?"), "{text:?}");
        assert!(text[1].contains("no key `http.lissten`; did you mean `http.listen`?"), "{text:?}");
        assert!(text[2].contains("no key `peer`; did you mean `peers`?"), "{text:?}");
        assert!(text[3].contains("no key `storage`"), "{text:?}");
    }

    #[test]
    fn a_slip_in_a_variable_is_refused() {
        let environment = [("POSTHOUSE_DOMIAN".to_owned(), "x".to_owned())];
        let problems = load(None, environment, vec![]).unwrap_err();
        assert!(problems.to_string().contains("POSTHOUSE_DOMAIN"), "{problems}");
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, "[limits]\nretention_days = \"a week\"\n").unwrap();
        let problems = load(Some(&file), [], vec![]).unwrap_err();
        assert!(problems.to_string().contains("limits.retention_days"), "{problems}");
    }
}
