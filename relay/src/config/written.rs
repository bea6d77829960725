//! A configuration as it was written: text, with the defaults of what was not.

use std::path::PathBuf;

use posthouse_spec::limits::RETENTION_MS;
use serde::{Deserialize, Serialize};

use crate::quota::{MAX_OUTBOX_BYTES, MAX_OUTBOX_ITEMS};

use super::circuits::CircuitsConfig;
use super::mailbags::MailbagsConfig;
use super::peer_limits::PeerLimitsConfig;

/// A day, milliseconds.
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A mebibyte, bytes.
pub(super) const MIB: u64 = 1024 * 1024;

/// Everything that can be configured, as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The relay's domain.
    pub domain: String,
    /// The folder that holds keys and store.
    pub data: PathBuf,
    /// Who may register: `open`, `invite` or `closed`.
    pub registration: String,
    /// The base URL at which clients reach the relay; by default the address that it listens at.
    pub public_url: Option<String>,
    /// The API for clients.
    pub http: HttpConfig,
    /// The other relays.
    pub peers: PeersConfig,
    /// Envelopes held for relays that are down.
    pub mailbags: MailbagsConfig,
    /// Connections through a third relay.
    pub circuits: CircuitsConfig,
    /// What one other relay may have of this one.
    pub peer_limits: PeerLimitsConfig,
    /// Bounds that an operator may move.
    pub limits: LimitsConfig,
    /// The log.
    pub log: LogConfig,
}

/// The API for clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it listens, `ip:port`.
    pub listen: String,
    /// The certificate chain, a PEM file.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file.
    pub key: Option<PathBuf>,
    /// Lets other machines read `/metrics`, as a bearer token.
    pub metrics_token: Option<String>,
    /// Most sockets open at once.
    pub max_connections: u32,
}

/// The other relays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeersConfig {
    /// Where the relay listens for other relays, `ip:port`, QUIC and TCP alike.
    pub listen: String,
    /// Multiaddresses that the manifest names; by default where it listens.
    pub announce: Vec<String>,
    /// A file that maps domains to base URLs.
    pub overrides: Option<PathBuf>,
    /// With whom to federate: `open`, `allow` (only `domains`) or `deny` (all but `domains`).
    pub policy: String,
    /// The domains that the policy is about.
    pub domains: Vec<String>,
    /// Whether other relays may be looked for at addresses that are not public.
    pub private_addresses: bool,
    /// Whether manifests are gossiped.
    pub gossip: bool,
}

/// Bounds that an operator may move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Days that an undelivered message is kept.
    pub retention_days: u64,
    /// Registrations a minute from one address.
    pub registrations_per_minute: u32,
    /// Logins a minute from one address.
    pub logins_per_minute: u32,
    /// Key package claims and look-ups a minute by one account.
    pub claims_per_minute: u32,
    /// Messages that may wait for one other relay.
    pub outbox_items_per_relay: u64,
    /// Mebibytes of messages that may wait for one other relay.
    pub outbox_mb_per_relay: u64,
}

/// The log, which goes to standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: String,
    /// What is logged, such as `info` or `posthouse_relay=debug,info`.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domain: "localhost".into(),
            data: "./posthouse-data".into(),
            registration: "open".into(),
            public_url: None,
            http: HttpConfig::default(),
            peers: PeersConfig::default(),
            mailbags: MailbagsConfig::default(),
            circuits: CircuitsConfig::default(),
            peer_limits: PeerLimitsConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:6480".into(),
            certificate: None,
            key: None,
            metrics_token: None,
            max_connections: 10_000,
        }
    }
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:6481".into(),
            announce: Vec::new(),
            overrides: None,
            policy: "open".into(),
            domains: Vec::new(),
            private_addresses: false,
            gossip: true,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            retention_days: RETENTION_MS / DAY_MS,
            registrations_per_minute: 20,
            logins_per_minute: 60,
            claims_per_minute: 120,
            outbox_items_per_relay: MAX_OUTBOX_ITEMS,
            outbox_mb_per_relay: MAX_OUTBOX_BYTES / MIB,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: "text".into(), level: "info".into() }
    }
}
