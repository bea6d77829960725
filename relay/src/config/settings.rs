//! A configuration that has been checked for form: every value is of the type that it means.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use posthouse_spec::Domain;
use posthouse_spec::limits::{MAX_ADDRESSES, MAX_URL};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::mailbags::MailbagSettings;
use super::problem::{Problem, Problems};
use super::written::{Config, DAY_MS, MIB};
use crate::quota::Quota;

/// Longest retention that makes sense, days: ten years.
const MAX_RETENTION_DAYS: u64 = 3650;

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Whoever has an invite token.
    Invite,
    /// Nobody.
    Closed,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The two files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// The API for clients.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// With TLS, or in plain.
    pub tls: Option<TlsFiles>,
    /// Lets other machines read the metrics.
    pub metrics_token: Option<String>,
    /// Most sockets open at once.
    pub max_connections: u32,
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .field("metrics_token", &self.metrics_token.as_ref().map(|_| "secret"))
            .field("max_connections", &self.max_connections)
            .finish()
    }
}

/// The other relays.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// Where the relay listens, QUIC and TCP alike.
    pub listen: SocketAddr,
    /// What the manifest names instead of where it listens.
    pub announce: Vec<String>,
    /// A file that maps domains to base URLs.
    pub overrides: Option<PathBuf>,
    /// With whom to federate.
    pub policy: posthouse_federation::Policy,
    /// Whether other relays may be looked for at addresses that are not public.
    pub private_addresses: bool,
    /// Whether manifests are gossiped.
    pub gossip: bool,
}

/// How often something may be asked, times a minute.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Registrations from one address.
    pub registrations: u32,
    /// Logins from one address.
    pub logins: u32,
    /// Key package claims and look-ups by one account.
    pub claims: u32,
}

/// A configuration that is well formed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The relay's domain.
    pub domain: Domain,
    /// The folder that holds keys and store.
    pub data: PathBuf,
    /// Who may register.
    pub registration: Registration,
    /// The base URL for clients, without a slash at its end.
    pub public_url: Option<String>,
    /// The API for clients.
    pub http: HttpSettings,
    /// The other relays.
    pub peers: PeerSettings,
    /// Envelopes held for relays that are down.
    pub mailbags: MailbagSettings,
    /// Connections through a third relay.
    pub circuits: posthouse_federation::Circuits,
    /// What one other relay may have of this one.
    pub peer_limits: posthouse_federation::PeerLimits,
    /// How long an undelivered message is kept, milliseconds.
    pub retention_ms: u64,
    /// How often something may be asked.
    pub rates: Rates,
    /// How many messages may wait for one other relay.
    pub outbox: Quota,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

impl Config {
    /// Checks the form of every value.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn settings(&self) -> Result<Settings, Problems> {
        let mut form = Form::default();
        let domain = form.parsed("domain", &self.domain, Domain::from_str);
        let http = self.http(&mut form);
        let peers = self.peers(&mut form);
        let registration = form.one_of(
            "registration",
            &self.registration,
            &[
                ("open", Registration::Open),
                ("invite", Registration::Invite),
                ("closed", Registration::Closed),
            ],
        );
        let log_format = form.one_of(
            "log.format",
            &self.log.format,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        );
        check_level(&mut form, &self.log.level);
        let public_url = self.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = &public_url {
            check_url(&mut form, url);
        }
        let rates = self.rates(&mut form);
        let outbox = self.outbox(&mut form);
        let circuits = self.circuits.settings(&self.domain, &mut form.0);
        let peer_limits = self.peer_limits.settings(&mut form.0);
        let mailbags = self.mailbags.settings(&self.domain, self.limits.retention_days, &mut form.0);
        let (Some(domain), Some(http), Some(peers), Some(registration), Some(log_format), true) =
            (domain, http, peers, registration, log_format, form.0.is_empty())
        else {
            return Err(Problems(form.0));
        };
        Ok(Settings {
            domain,
            data: self.data.clone(),
            registration,
            public_url,
            http,
            peers,
            mailbags,
            circuits,
            peer_limits,
            retention_ms: self.limits.retention_days * DAY_MS,
            rates,
            outbox,
            log_format,
            log_level: self.log.level.clone(),
        })
    }

    fn http(&self, form: &mut Form) -> Option<HttpSettings> {
        let listen = form.address("http.listen", &self.http.listen);
        let tls = match (&self.http.certificate, &self.http.key) {
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
            }
            (None, None) => None,
            (certificate, _) => {
                let (has, lacks) = if certificate.is_some() {
                    ("http.certificate", "http.key")
                } else {
                    ("http.key", "http.certificate")
                };
                form.wrong(
                    has,
                    format!("it is set, but `{lacks}` is not"),
                    "TLS needs both: set the other one too",
                );
                None
            }
        };
        if self.http.max_connections == 0 {
            form.wrong("http.max_connections", "0 connections serve nobody", "set it to 1 or more");
        }
        let listen = listen?;
        let half_tls = self.http.certificate.is_some() || self.http.key.is_some();
        if tls.is_none() && !half_tls && !listen.ip().is_loopback() {
            form.wrong(
                "http.listen",
                format!("plain HTTP at {listen} would show tokens to the network"),
                "set http.certificate and http.key, or listen at 127.0.0.1 behind a proxy that speaks TLS",
            );
        }
        Some(HttpSettings {
            listen,
            tls,
            metrics_token: self.http.metrics_token.clone(),
            max_connections: self.http.max_connections,
        })
    }

    fn peers(&self, form: &mut Form) -> Option<PeerSettings> {
        let listen = form.address("peers.listen", &self.peers.listen);
        if self.peers.announce.len() > MAX_ADDRESSES {
            form.wrong(
                "peers.announce",
                format!(
                    "{} addresses are more than the {MAX_ADDRESSES} of a manifest",
                    self.peers.announce.len()
                ),
                "name fewer",
            );
        }
        for address in &self.peers.announce {
            if !address.starts_with('/') || address.len() > MAX_URL {
                form.wrong(
                    "peers.announce",
                    format!("`{address}` is not a multiaddress"),
                    "write it as /dns4/a.example/udp/6481/quic-v1",
                );
            }
        }
        let domains: Vec<Domain> = self
            .peers
            .domains
            .iter()
            .filter_map(|domain| form.parsed("peers.domains", domain, Domain::from_str))
            .collect();
        let policy = match self.peers.policy.as_str() {
            "open" => Some(posthouse_federation::Policy::Open),
            "allow" => Some(posthouse_federation::Policy::Allow(domains.into_iter().collect())),
            "deny" => Some(posthouse_federation::Policy::Deny(domains.into_iter().collect())),
            other => {
                form.wrong(
                    "peers.policy",
                    format!("`{other}` is none of open, allow, deny"),
                    "write one of them",
                );
                None
            }
        };
        Some(PeerSettings {
            listen: listen?,
            announce: self.peers.announce.clone(),
            overrides: self.peers.overrides.clone(),
            policy: policy?,
            private_addresses: self.peers.private_addresses,
            gossip: self.peers.gossip,
        })
    }

    fn outbox(&self, form: &mut Form) -> Quota {
        let limits = &self.limits;
        let each = [
            ("limits.outbox_items_per_relay", limits.outbox_items_per_relay),
            ("limits.outbox_mb_per_relay", limits.outbox_mb_per_relay),
        ];
        for (key, _) in each.iter().filter(|(_, bound)| *bound == 0) {
            form.wrong(key, "with 0 no message could wait for another relay", "set it to 1 or more");
        }
        Quota { items: limits.outbox_items_per_relay, bytes: limits.outbox_mb_per_relay.saturating_mul(MIB) }
    }

    fn rates(&self, form: &mut Form) -> Rates {
        let limits = &self.limits;
        let rates = Rates {
            registrations: limits.registrations_per_minute,
            logins: limits.logins_per_minute,
            claims: limits.claims_per_minute,
        };
        let each = [
            ("limits.registrations_per_minute", rates.registrations),
            ("limits.logins_per_minute", rates.logins),
            ("limits.claims_per_minute", rates.claims),
        ];
        for (key, _) in each.iter().filter(|(_, rate)| *rate == 0) {
            form.wrong(key, "0 a minute lets nobody in", "set it to 1 or more");
        }
        if !(1..=MAX_RETENTION_DAYS).contains(&limits.retention_days) {
            form.wrong(
                "limits.retention_days",
                format!("{} is not between 1 and {MAX_RETENTION_DAYS}", limits.retention_days),
                "30 is the default",
            );
        }
        rates
    }
}

fn check_url(form: &mut Form, url: &str) {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(host) = host.filter(|host| !host.is_empty() && url.len() <= MAX_URL) else {
        form.wrong("public_url", format!("`{url}` is not a URL"), "write it as https://a.example");
        return;
    };
    let name = host.split(['/', ':']).next().unwrap_or(host);
    let loopback = name == "localhost"
        || name.ends_with(".localhost")
        || name == "127.0.0.1"
        || host.starts_with("[::1]");
    if url.starts_with("http://") && !loopback {
        form.wrong("public_url", format!("`{url}` is plain HTTP to another machine"), "write https://");
    }
}

/// A bare word that is no level is to the filter the name of a part of the program: a slip would silence all others.
fn check_level(form: &mut Form, level: &str) {
    let slip = |part: &str| !part.contains(['=', '[']) && part.trim().parse::<LevelFilter>().is_err();
    if level.parse::<EnvFilter>().is_err() || level.split(',').any(slip) {
        form.wrong(
            "log.level",
            format!("`{level}` is not a level"),
            "write error, warn, info, debug or trace",
        );
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Form(Vec<Problem>);

impl Form {
    fn wrong(&mut self, key: &str, what: impl Into<String>, fix: &str) {
        self.0.push(Problem::new(key, what, fix));
    }

    fn parsed<T, E: fmt::Display>(
        &mut self,
        key: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text)
            .map_err(|error| {
                self.0.push(Problem::new(key, error.to_string(), "mend it in the configuration"))
            })
            .ok()
    }

    fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        text.parse()
            .map_err(|_| {
                self.wrong(
                    key,
                    format!("`{text}` is not an address"),
                    "write ip:port, such as 127.0.0.1:6480 (a name is not enough, a port is needed)",
                );
            })
            .ok()
    }

    fn one_of<T: Copy>(&mut self, key: &str, text: &str, known: &[(&str, T)]) -> Option<T> {
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            self.wrong(key, format!("`{text}` is none of {}", names.join(", ")), "write one of them");
        }
        found
    }
}
