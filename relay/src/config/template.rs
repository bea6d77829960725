//! `posthouse-relay init`: a commented configuration and fresh keys.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::written::Config;

/// Why `init` left everything as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotInitialised {
    /// The file is there already.
    #[error(
        "writing {0}: the file exists, and init overwrites nothing; edit it, or name another with --config"
    )]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("writing {path}: {error}; check that the folder exists and is yours")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Writes a commented configuration that says what `config` says.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn init(path: &Path, config: &Config) -> Result<(), NotInitialised> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            NotInitialised::Exists(path.into())
        } else {
            NotInitialised::Unwritable { path: path.into(), error }
        }
    })?;
    file.write_all(text(config).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| NotInitialised::Unwritable { path: path.into(), error })
}

fn quoted(text: impl std::fmt::Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// A line that is set, or its example as a comment.
fn optional(key: &str, value: Option<String>, example: &str) -> String {
    match value {
        Some(value) => format!("{key} = {}", quoted(value)),
        None => format!("# {key} = {}", quoted(example)),
    }
}

fn text(config: &Config) -> String {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    format!(
        r#"# Posthouse relay. Every key may also be an environment variable: http.listen is POSTHOUSE_HTTP_LISTEN.
# `posthouse-relay check --config relay.toml` says in words what is wrong with this file.

# The relay's domain: what stands behind the @ of its users' aliases. It cannot be changed later.
domain = {domain}

# The folder for keys and messages. Whoever reads it can speak as this relay; nobody can read messages with it.
# This path and the others count from the folder in which a command is started: better write them in full.
data = {data}

# Who may register: "open" (anybody), "invite" (with a token from `posthouse-relay invite`) or "closed".
registration = {registration}

# Where clients reach the relay, if that is not the address below.
{public_url}

[http]
# The API for clients. Plain HTTP is served on loopback only: elsewhere, set certificate and key.
listen = {http_listen}
{certificate}
{key}
# /metrics is served to this machine, and to others with this bearer token.
{metrics_token}
# Most client sockets at once.
max_connections = {max_connections}

[peers]
# Where other relays connect, with QUIC (UDP) and TCP on the same port.
listen = {peers_listen}
# What the manifest tells other relays, if that is not the address above: ["/dns4/a.example/udp/6481/quic-v1"].
announce = {announce}
# A TOML file that maps domains to base URLs, read at each look-up: "b.localhost" = "http://127.0.0.1:6480".
{overrides}
# With whom to federate: "open", "allow" (only the domains below) or "deny" (all but these).
policy = {policy}
domains = {domains}
# Whether other relays may be looked for at addresses that are not public.
private_addresses = {private}
# Whether relays tell each other of third ones: where they can be reached, and which keys are theirs.
gossip = {gossip}

{mailbags}
{circuits}
{peer_limits}
[limits]
# Days that an undelivered message is kept; its sender is told when it expires.
retention_days = {retention}
# From one address, and by one account.
registrations_per_minute = {registrations}
logins_per_minute = {logins}
claims_per_minute = {claims}
# Messages that may wait for one other relay, and their size together. A full one takes no more until that relay has come
# for some, and senders are told; nothing that waits is dropped for that.
outbox_items_per_relay = {outbox_items}
outbox_mb_per_relay = {outbox_mb}

[log]
# "text" or "json", on standard error.
format = {log_format}
level = {log_level}
"#,
        domain = quoted(&config.domain),
        data = quoted(config.data.display()),
        registration = quoted(&config.registration),
        public_url = optional("public_url", config.public_url.clone(), "https://a.example"),
        http_listen = quoted(&config.http.listen),
        certificate = optional("certificate", path(&config.http.certificate), "/etc/posthouse/fullchain.pem"),
        key = optional("key", path(&config.http.key), "/etc/posthouse/privkey.pem"),
        metrics_token = optional("metrics_token", config.http.metrics_token.clone(), "a long random text"),
        max_connections = config.http.max_connections,
        peers_listen = quoted(&config.peers.listen),
        announce = list(&config.peers.announce),
        overrides = optional("overrides", path(&config.peers.overrides), "overrides.toml"),
        policy = quoted(&config.peers.policy),
        domains = list(&config.peers.domains),
        private = config.peers.private_addresses,
        gossip = config.peers.gossip,
        mailbags = super::mailbags::section(&config.mailbags),
        circuits = super::circuits::section(&config.circuits),
        peer_limits = super::peer_limits::section(&config.peer_limits),
        retention = config.limits.retention_days,
        registrations = config.limits.registrations_per_minute,
        logins = config.limits.logins_per_minute,
        claims = config.limits.claims_per_minute,
        outbox_items = config.limits.outbox_items_per_relay,
        outbox_mb = config.limits.outbox_mb_per_relay,
        log_format = quoted(&config.log.format),
        log_level = quoted(&config.log.level),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::load;

    #[test]
    fn what_init_writes_reads_back_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        let mut config = Config { domain: "a.example".into(), ..Config::default() };
        config.http.certificate = Some("cert with \"quotes\".pem".into());
        config.peers.announce = vec!["/dns4/a.example/tcp/6481".into()];
        init(&file, &config).unwrap();
        assert_eq!(load(Some(&file), [], vec![]).unwrap(), config);
    }

    #[test]
    fn it_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, "mine").unwrap();
        let error = init(&file, &Config::default()).unwrap_err();
        assert!(matches!(error, NotInitialised::Exists(_)));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}
