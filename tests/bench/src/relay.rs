//! Real relays as processes, on ports and in folders of their own.
//!
//! They are not behind the harness's proxies: those would be part of what is measured.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use posthouse_spec::Domain;
use posthouse_tests::{Leash, tail};
use rand::RngExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::machine;

/// How long a relay may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a relay's line begins with when it serves.
const READY: &str = "posthouse-relay ready ";
/// Requests a minute that no scenario comes near.
const NO_LIMIT: u32 = 10_000_000;
/// Where relays listen: below the ports that Linux gives to outgoing connections, so that none of those takes the port of a
/// relay that is down and comes back.
const PORTS: Range<u16> = 10_000..32_000;
/// Ports that are tried before it is said that none is free.
const PORT_TRIES: usize = 64;

/// What all runs stand on.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// The relay as it ships.
    pub(crate) program: PathBuf,
    /// Whether relays and generator run on a core of their own.
    pub(crate) pinned: bool,
}

/// Relays that find each other, in a temporary folder.
#[derive(Debug)]
pub(crate) struct Network {
    relays: Vec<Relay>,
    // Last, so that the folder goes after the processes that write to it.
    folder: TempDir,
}

/// One relay.
#[derive(Debug)]
pub(crate) struct Relay {
    domain: Domain,
    folder: PathBuf,
    program: PathBuf,
    http: SocketAddr,
    pinned: bool,
    /// The relay's ports, until it takes them.
    held: Vec<Port>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    // Let go of first: a process id may be used again once its process is gone.
    _leash: Leash,
    child: Child,
    pid: u32,
    // Held, so that the relay can write to it for as long as it lives.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Network {
    /// Starts a relay for each domain, which admits so many sockets.
    pub(crate) async fn start(domains: &[&str], ground: &Ground, sockets: u32) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("posthouse-bench-")
            .tempdir()
            .context("making a temporary folder")?;
        let overrides = folder.path().join("overrides.toml");
        let mut relays = Vec::new();
        let mut book = String::new();
        for domain in domains {
            let relay = Relay::lay_out(ground, folder.path(), domain, &overrides, sockets)?;
            book.push_str(&format!("\"{domain}\" = \"{}\"\n", relay.url()));
            relays.push(relay);
        }
        fs::write(&overrides, book).with_context(|| format!("writing {}", overrides.display()))?;
        for relay in &mut relays {
            relay.start().await?;
        }
        Ok(Self { relays, folder })
    }

    /// The folder that holds all stores.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The relays, in the order of the domains.
    pub(crate) fn relays(&self) -> &[Relay] {
        &self.relays
    }

    /// The same, to be stopped and started.
    pub(crate) fn relays_mut(&mut self) -> &mut [Relay] {
        &mut self.relays
    }

    /// CPU seconds of all relays together.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        self.relays.iter().map(Relay::cpu_seconds).sum()
    }
}

impl Relay {
    fn lay_out(ground: &Ground, folder: &Path, domain: &str, overrides: &Path, sockets: u32) -> Result<Self> {
        let folder = folder.join(domain);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let (http, peers) = (Port::hold()?, Port::hold()?);
        let peers_at = peers.address;
        let relay = Self {
            domain: domain.parse()?,
            folder,
            program: ground.program.clone(),
            http: http.address,
            pinned: ground.pinned,
            held: vec![http, peers],
            running: None,
        };
        let config = relay.configuration(peers_at, overrides, sockets);
        fs::write(relay.config(), config).context("writing a relay's configuration")?;
        Ok(relay)
    }

    /// The domain.
    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.http
    }

    /// CPU seconds of the living process.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        machine::cpu_seconds(self.pid()?)
    }

    /// Memory of the living process, KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        machine::resident_kib(self.pid()?)
    }

    /// The most memory that the living process has held, KiB.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        machine::peak_kib(self.pid()?)
    }

    /// From here on the peak is counted anew. Where the kernel does not do that, the peak is that of the process's whole life:
    /// more, never less.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        machine::forget_peak(self.pid()?);
        Ok(())
    }

    /// Starts the process and waits until it serves.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.held.clear();
        let mut child = self.spawn()?;
        let leash = Leash::on(&child)?;
        let output = child.stdout.take().context("a relay's standard output is not there to be read")?;
        let mut lines = BufReader::new(output).lines();
        let ready = tokio::time::timeout(PATIENCE, wait_ready(&mut lines)).await;
        if !matches!(ready, Ok(Ok(true))) {
            // It may be waiting for something: whatever it is, its log says so.
            child.kill().await.context("ending a relay that did not start")?;
            bail!("the relay of {} did not start; {}", self.domain, self.last_words());
        }
        let pid = child.id().context("a relay ended as soon as it had started")?;
        self.running = Some(Running { _leash: leash, child, pid, _output: lines });
        Ok(())
    }

    /// Ends the process at once, as a crash would.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.child.kill().await.with_context(|| format!("killing the relay of {}", self.domain))?;
        }
        Ok(())
    }

    /// Stops the process where it stands: its connections stay, and nothing answers on them.
    pub(crate) async fn freeze(&self) -> Result<()> {
        self.signal("-STOP").await
    }

    /// Lets a process go on that was stopped.
    pub(crate) async fn thaw(&self) -> Result<()> {
        self.signal("-CONT").await
    }

    /// How this relay treats another one, as its operator sees it; null where it has nothing against it.
    pub(crate) async fn conduct_of(&self, other: &str) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(["peers", "show", other, "--json", "--config"]).arg(self.config());
        let shown = self.bare(&mut command).output().await.context("asking a relay about another one")?;
        if !shown.status.success() {
            bail!("`peers show {other}` failed: {}", String::from_utf8_lossy(&shown.stderr));
        }
        let mut detail: Value =
            serde_json::from_slice(&shown.stdout).context("`peers show --json` printed no JSON")?;
        Ok(detail["conduct"].take())
    }

    async fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.pid()?.to_string();
        let status = Command::new("kill").args([signal, &pid]).status().await.context("running `kill`")?;
        if !status.success() {
            bail!("sending {signal} to the relay of {} failed: it has ended by itself", self.domain);
        }
        Ok(())
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    fn last_words(&self) -> String {
        match tail(&self.log()).as_str() {
            "" => format!("its log is empty, so run `{} serve` by hand and see", self.program.display()),
            log => format!("its log ends:\n{log}"),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("relay.log")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("relay.toml")
    }

    fn pid(&self) -> Result<u32> {
        let running = self.running.as_ref();
        running.map(|running| running.pid).with_context(|| format!("the relay of {} is down", self.domain))
    }

    fn spawn(&self) -> Result<Child> {
        let log =
            OpenOptions::new().create(true).append(true).open(self.log()).context("opening a relay's log")?;
        let mut command = if self.pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", machine::RELAY_CORE]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command.arg("serve").arg("--config").arg(self.config()).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        self.bare(&mut command).spawn().with_context(|| format!("starting {}", self.program.display()))
    }

    /// The command without settings from the environment, which would win over the configuration file.
    fn bare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("POSTHOUSE_")) {
                command.env_remove(name);
            }
        }
        command
    }

    fn configuration(&self, peers: SocketAddr, overrides: &Path, sockets: u32) -> String {
        format!(
            r#"domain = "{domain}"
data = '{data}'
public_url = "{url}"

[http]
listen = "{http}"
max_connections = {sockets}

[peers]
listen = "{peers}"
overrides = '{overrides}'

[limits]
registrations_per_minute = {NO_LIMIT}
logins_per_minute = {NO_LIMIT}
claims_per_minute = {NO_LIMIT}

[log]
level = "warn"
"#,
            domain = self.domain,
            data = self.folder.join("data").display(),
            url = self.url(),
            http = self.http,
            overrides = overrides.display(),
        )
    }
}

/// A loopback port that is free for TCP and UDP, held until the relay takes it.
#[derive(Debug)]
struct Port {
    address: SocketAddr,
    _tcp: TcpListener,
    _udp: UdpSocket,
}

impl Port {
    /// Holds one. A relay that comes back after an outage must find its old one, so it cannot choose by itself.
    fn hold() -> Result<Self> {
        for _ in 0..PORT_TRIES {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::rng().random_range(PORTS)));
            if let (Ok(tcp), Ok(udp)) = (TcpListener::bind(address), UdpSocket::bind(address)) {
                return Ok(Self { address, _tcp: tcp, _udp: udp });
            }
        }
        bail!(
            "of {PORT_TRIES} ports between {} and {} none is free for TCP and UDP alike",
            PORTS.start,
            PORTS.end
        )
    }
}

async fn wait_ready(lines: &mut Lines<BufReader<ChildStdout>>) -> std::io::Result<bool> {
    while let Some(line) = lines.next_line().await? {
        if line.starts_with(READY) {
            return Ok(true);
        }
    }
    Ok(false)
}
