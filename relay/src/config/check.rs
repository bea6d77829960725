//! `posthouse-relay check`: what the machine has to say to a configuration that is well formed.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use posthouse_federation::Policy;
use posthouse_spec::{Domain, Millis};

use super::problem::{Problem, Problems};
use super::settings::Settings;
use super::tls::load_tls;
use super::written::Config;
use crate::keys::Keys;
use crate::mailbags::MailbagKeys;
use crate::manifest::{self, ManifestError};
use crate::store::{Store, StoreError};

/// 2026-01-01: no clock that is right shows an earlier time, milliseconds since 1970.
const EARLIEST: Millis = Millis(1_767_225_600_000);
/// 2100-01-01: nor a later one, milliseconds since 1970.
const LATEST: Millis = Millis(4_102_444_800_000);
/// How far the newest manifest may lie ahead of the clock, milliseconds.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;
/// What is written to see whether anything can be, bytes.
const PROBE: usize = 4096;

/// Says everything that is wrong, or in a few lines what the relay would do.
///
/// # Errors
/// Everything that is wrong.
pub async fn check(config: &Config, now: Millis) -> Result<String, Problems> {
    let settings = config.settings()?;
    let mut problems = Vec::new();
    clock(now, &mut problems);
    tls(&settings, now, &mut problems);
    overrides(&settings, &mut problems);
    let running = data(&settings, now, &mut problems).await;
    if !running {
        ports(&settings, &mut problems);
    }
    if problems.is_empty() { Ok(summary(&settings, running)) } else { Err(Problems(problems)) }
}

fn clock(now: Millis, problems: &mut Vec<Problem>) {
    if !(EARLIEST..LATEST).contains(&now) {
        problems.push(Problem::new(
            "clock",
            format!("this machine's clock says {} s since 1970, which cannot be", now.0 / 1000),
            "set it, best by NTP: other relays refuse one whose clock is off by more than five minutes",
        ));
    }
}

fn tls(settings: &Settings, now: Millis, problems: &mut Vec<Problem>) {
    if let Some(files) = &settings.http.tls
        && let Err(fault) = load_tls(files, now)
    {
        let text = fault.to_string();
        let (what, fix) = text.split_once("; ").unwrap_or((&text, "name other files"));
        problems.push(Problem::new("http.certificate", what, fix));
    }
}

/// Says what is wrong with the file that maps domains to URLs.
pub fn overrides(settings: &Settings, problems: &mut Vec<Problem>) {
    let Some(path) = &settings.peers.overrides else { return };
    let form = "write lines such as \"b.example\" = \"https://10.0.0.7:6480\"";
    let mut wrong = |what: String, fix: &str| {
        problems.push(Problem::new("peers.overrides", format!("{}: {what}", path.display()), fix));
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return wrong(format!("cannot be read ({error})"), "mend the path, or make the file"),
    };
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => return wrong(format!("is not TOML ({})", error.message()), form),
    };
    for (domain, url) in &table {
        if domain.parse::<Domain>().is_err() {
            wrong(format!("`{domain}` is not a domain"), form);
        }
        let fine = url.as_str().is_some_and(|url| url.starts_with("http://") || url.starts_with("https://"));
        if !fine {
            wrong(format!("the value of `{domain}` is not a URL"), form);
        }
    }
}

/// Looks at the data folder; says whether a relay runs on it.
async fn data(settings: &Settings, now: Millis, problems: &mut Vec<Problem>) -> bool {
    let mut wrong = |text: String| {
        let (what, fix) = text.split_once("; ").unwrap_or((&text, "name another folder with `data`"));
        problems.push(Problem::new("data", what, fix));
    };
    if let Err(error) = written(&settings.data) {
        let fix = match error.kind() {
            std::io::ErrorKind::StorageFull => "free some space on that disk",
            _ => "make it, and give it to the user that runs the relay",
        };
        wrong(format!("the folder {} cannot be written ({error}); {fix}", settings.data.display()));
        return false;
    }
    if let Err(error) = Keys::read(&settings.data) {
        wrong(error.to_string());
    }
    if let Err(error) = MailbagKeys::read(&settings.data) {
        wrong(error.to_string());
    }
    let newest = manifest::newest(&settings.data, &settings.domain);
    let renamed = matches!(newest, Err(ManifestError::OtherDomain { .. }));
    match newest {
        Err(error) => wrong(error.to_string()),
        Ok(Some(newest)) if newest.created > now.after(MAX_AHEAD_MS) => {
            wrong("its newest manifest is from the future; set the clock of this machine".into());
        }
        Ok(Some(_)) => {
            if let Err(error) = Store::must_exist(&settings.data) {
                wrong(error.to_string().replacen(": ", "; ", 1));
            }
        }
        Ok(None) => {}
    }
    match Store::inspect(&settings.data, &settings.domain).await {
        Ok(()) => false,
        Err(StoreError::Locked(_)) => true,
        // Said already.
        Err(StoreError::OtherDomain { .. }) if renamed => false,
        Err(error) => {
            wrong(error.to_string().replacen(": ", "; ", 1));
            false
        }
    }
}

/// Makes a file, with something in it, in a folder, or in the nearest one above it that exists, and removes it.
fn written(folder: &Path) -> std::io::Result<()> {
    let mut at = folder;
    while !at.exists() {
        at = match at.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    let probe = at.join(format!(".posthouse-check-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    // A full disk may still have room for an empty file.
    let put = file.write_all(&[0; PROBE]).and_then(|()| file.sync_all());
    std::fs::remove_file(&probe).and(put)
}

fn ports(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut taken = |key: &str, kind: &str, address: SocketAddr, error: &std::io::Error| {
        let (what, fix) = if error.kind() == std::io::ErrorKind::AddrInUse {
            (format!("another program has the {kind} port of {address}"), "stop it, or choose another port")
        } else {
            (
                format!("the {kind} port of {address} cannot be had ({error})"),
                "choose an address of this machine",
            )
        };
        problems.push(Problem::new(key, what, fix));
    };
    if let Err(error) = TcpListener::bind(settings.http.listen) {
        taken("http.listen", "TCP", settings.http.listen, &error);
    }
    if let Err(error) = TcpListener::bind(settings.peers.listen) {
        taken("peers.listen", "TCP", settings.peers.listen, &error);
    }
    if let Err(error) = UdpSocket::bind(settings.peers.listen) {
        taken("peers.listen", "UDP", settings.peers.listen, &error);
    }
}

fn federation(policy: &Policy) -> String {
    let listed = policy.domains().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let listed = if listed.is_empty() { "none yet".to_owned() } else { listed };
    match policy {
        Policy::Open => "with everybody but those that `peers deny` names".to_owned(),
        Policy::Allow(_) => {
            format!("only with the domains that are listed ({listed}), and those that `peers allow` names")
        }
        Policy::Deny(_) => format!("with everybody but {listed}, and those that `peers deny` names"),
    }
}

fn summary(settings: &Settings, running: bool) -> String {
    let scheme = if settings.http.tls.is_some() { "HTTPS" } else { "plain HTTP on loopback" };
    let state =
        if running { "a relay runs on this data folder now" } else { "no relay runs on this data folder" };
    format!(
        "the configuration is fine\n  domain        {}\n  data          {} ({state})\n  clients       {scheme} at {}\n  other relays  QUIC and TCP at {}\n  federation    {}",
        settings.domain,
        settings.data.display(),
        settings.http.listen,
        settings.peers.listen,
        federation(&settings.peers.policy),
    )
}
