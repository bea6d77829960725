//! Real relays as processes, on ports and in folders of their own.
//!
//! They are not behind the harness's proxies: those would be part of what is measured.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use posthouse_spec::Domain;
use posthouse_tests::tail;
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
/// Ports that are tried before it is said that none is free.
const PORT_TRIES: usize = 16;

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
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
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
        let relay = Self {
            domain: domain.parse()?,
            folder,
            program: ground.program.clone(),
            http: free_port()?,
            pinned: ground.pinned,
            running: None,
        };
        let config = relay.configuration(free_port()?, overrides, sockets);
        fs::write(relay.folder.join("relay.toml"), config).context("writing a relay's configuration")?;
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

    /// Starts the process and waits until it serves.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let mut child = self.spawn()?;
        let output = child.stdout.take().context("a relay's standard output is not there to be read")?;
        let mut lines = BufReader::new(output).lines();
        let ready = tokio::time::timeout(PATIENCE, wait_ready(&mut lines)).await;
        if !matches!(ready, Ok(Ok(true))) {
            // It may be waiting for something: whatever it is, its log says so.
            child.kill().await.context("ending a relay that did not start")?;
            bail!("the relay of {} did not start; {}", self.domain, self.last_words());
        }
        let pid = child.id().context("a relay ended as soon as it had started")?;
        self.running = Some(Running { child, pid, _output: lines });
        Ok(())
    }

    /// Ends the process at once, as a crash would.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.child.kill().await.with_context(|| format!("killing the relay of {}", self.domain))?;
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
        command.arg("serve").arg("--config").arg(self.folder.join("relay.toml")).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        // Settings from the environment would win over the configuration file.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("POSTHOUSE_")) {
                command.env_remove(name);
            }
        }
        command.spawn().with_context(|| format!("starting {}", self.program.display()))
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

/// A loopback port that is free for TCP and UDP. It is not held until the relay takes it; a relay that comes back after
/// an outage must find its old one, so it cannot choose by itself.
fn free_port() -> Result<SocketAddr> {
    for _ in 0..PORT_TRIES {
        let tcp = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
        let address = tcp.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free for TCP and UDP alike")
}

async fn wait_ready(lines: &mut Lines<BufReader<ChildStdout>>) -> std::io::Result<bool> {
    while let Some(line) = lines.next_line().await? {
        if line.starts_with(READY) {
            return Ok(true);
        }
    }
    Ok(false)
}
