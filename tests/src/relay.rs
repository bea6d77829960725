//! A relay as a process, behind proxies that keep its public ports.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

use crate::fault::Proxy;
use crate::process::{Leash, tail, terminate, within};

/// The line that a relay writes to standard output when it serves.
const READY: &str = "posthouse-relay ready ";

/// A relay.
#[derive(Debug)]
pub struct Relay {
    domain: String,
    folder: PathBuf,
    program: PathBuf,
    http: Proxy,
    peer_tcp: Proxy,
    peer_udp: Proxy,
    environment: Mutex<BTreeMap<String, String>>,
    running: tokio::sync::Mutex<Option<Running>>,
    ready: Mutex<Ready>,
}

/// A living process.
#[derive(Debug)]
struct Running {
    // Let go of first: a process id may be used again once its process is gone.
    _leash: Leash,
    child: Child,
    _output: AbortOnDropHandle<()>,
}

/// What the living, or the last, process said of itself.
#[derive(Debug, Clone, Default)]
struct Ready {
    pid: u32,
    http: String,
    peers: Vec<String>,
}

impl Relay {
    /// Lays out a relay's folder; [`Relay::start`] starts it.
    pub(crate) async fn lay_out(
        program: &Path,
        folder: &Path,
        domain: &str,
        overrides: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let relay = Self {
            domain: domain.to_owned(),
            folder: folder.to_owned(),
            program: program.to_owned(),
            http: Proxy::tcp().await?,
            peer_tcp: Proxy::tcp().await?,
            peer_udp: Proxy::udp().await?,
            environment: Mutex::default(),
            running: tokio::sync::Mutex::default(),
            ready: Mutex::default(),
        };
        fs::write(relay.config(), relay.configuration(overrides))?;
        Ok(relay)
    }

    /// The relay's domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The public base URL, which stays across restarts.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http.address())
    }

    /// The living process's own base URL, past the proxy.
    #[must_use]
    pub fn direct_url(&self) -> String {
        self.ready().http.clone()
    }

    /// The living process's own multiaddress with its PeerId, past the proxies.
    #[must_use]
    pub fn peer_address(&self) -> String {
        self.ready().peers.first().cloned().unwrap_or_default()
    }

    /// The living process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.ready().pid
    }

    /// The folder with configuration, data and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with keys and store.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("relay.toml")
    }

    /// The log of all its processes.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("relay.log")
    }

    /// The proxy for clients.
    #[must_use]
    pub fn client_proxy(&self) -> &Proxy {
        &self.http
    }

    /// The proxies for other relays: TCP, and UDP for QUIC.
    #[must_use]
    pub fn peer_proxies(&self) -> [&Proxy; 2] {
        [&self.peer_tcp, &self.peer_udp]
    }

    /// Sets an environment variable of the processes started from now on, such as `POSTHOUSE_REGISTRATION`.
    pub fn set_variable(&self, name: &str, value: &str) {
        let mut environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        environment.insert(name.to_owned(), value.to_owned());
    }

    /// A command of the relay program for this relay's configuration, such as `check` or `invite`.
    ///
    /// # Errors
    /// It cannot be run, or fails.
    pub async fn admin(&self, args: &[&str]) -> Result<String> {
        let mut command = self.command(args, Stdio::piped());
        let output = within("a command of the relay program", command.output()).await??;
        if !output.status.success() {
            bail!("`posthouse-relay {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// As [`Relay::admin`], for a command that may fail: its exit code, and what it said.
    ///
    /// # Errors
    /// It cannot be run.
    pub async fn operate(&self, args: &[&str]) -> Result<std::process::Output> {
        let mut command = self.command(args, Stdio::piped());
        Ok(within("a command of the relay program", command.output()).await??)
    }

    /// Memory that the process holds, KiB.
    ///
    /// # Errors
    /// The process has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        self.memory_kib("VmRSS")
    }

    /// The most memory that the process ever held, KiB.
    ///
    /// # Errors
    /// The process has ended.
    pub fn peak_kib(&self) -> Result<u64> {
        self.memory_kib("VmHWM")
    }

    fn memory_kib(&self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = found.with_context(|| format!("no {name} in {path}"))?;
        value.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{name} is no number"))
    }

    /// Starts the process and waits until it serves. A relay that runs is left as it is.
    ///
    /// # Errors
    /// It ends instead, with the end of its log.
    pub async fn start(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut child = self
            .command(&["serve"], log.into())
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let leash = Leash::on(&child)?;
        let output = child.stdout.take().context("the process has no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let Some(ready) = within("starting a relay", ready_line(&mut lines)).await?? else {
            within("ending", child.wait()).await??;
            bail!("{} did not start; its log ends:\n{}", self.domain, tail(&self.log()));
        };
        self.point_proxies(&ready)?;
        *self.ready() = Ready { pid: child.id().unwrap_or_default(), ..ready };
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        *running = Some(Running { _leash: leash, child, _output: AbortOnDropHandle::new(drain) });
        Ok(())
    }

    /// Ends the process at once, as a crash would.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if let Some(mut process) = running.take() {
            process.child.kill().await.context("killing a relay")?;
        }
        self.point_nowhere();
        Ok(())
    }

    /// Whether a process was started, and neither killed nor stopped since.
    pub fn is_running(&self) -> bool {
        self.running.try_lock().map_or(true, |running| running.is_some())
    }

    /// Asks the process to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn terminate(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if let Some(mut process) = running.take() {
            terminate(&mut process.child).await.with_context(|| format!("stopping {}", self.domain))?;
        }
        self.point_nowhere();
        Ok(())
    }

    /// Ends the process gracefully and starts another one.
    ///
    /// # Errors
    /// Either fails.
    pub async fn restart(&self) -> Result<()> {
        self.terminate().await?;
        self.start().await
    }

    fn point_nowhere(&self) {
        for proxy in [&self.http, &self.peer_tcp, &self.peer_udp] {
            proxy.point_at(None);
        }
    }

    fn point_proxies(&self, ready: &Ready) -> Result<()> {
        let http = ready.http.strip_prefix("http://").context("the ready line names no http:// URL")?;
        self.http.point_at(Some(http.parse().with_context(|| format!("`{http}` in the ready line"))?));
        self.peer_tcp.point_at(ready.peers.iter().find_map(|peer| socket_address(peer, "tcp")));
        self.peer_udp.point_at(ready.peers.iter().find_map(|peer| socket_address(peer, "udp")));
        Ok(())
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, args: &[&str], stderr: Stdio) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--config").arg(self.config()).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("POSTHOUSE_")) {
                command.env_remove(name);
            }
        }
        command.envs(&*self.environment.lock().unwrap_or_else(PoisonError::into_inner));
        command
    }

    /// Free ports behind the proxies, whose ports are what others are told; limits that a test does not meet.
    fn configuration(&self, overrides: &Path) -> String {
        format!(
            r#"domain = "{domain}"
data = '{data}'
public_url = "{url}"

[http]
listen = "127.0.0.1:0"

[peers]
listen = "127.0.0.1:0"
announce = ["/ip4/127.0.0.1/udp/{udp}/quic-v1", "/ip4/127.0.0.1/tcp/{tcp}"]
overrides = '{overrides}'

[limits]
registrations_per_minute = 100000
logins_per_minute = 100000
claims_per_minute = 100000
"#,
            domain = self.domain,
            data = self.data().display(),
            url = self.http_url(),
            udp = self.peer_udp.address().port(),
            tcp = self.peer_tcp.address().port(),
            overrides = overrides.display(),
        )
    }
}

async fn ready_line(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Option<Ready>> {
    while let Some(line) = lines.next_line().await? {
        if let Some(facts) = line.strip_prefix(READY) {
            let mut ready = Ready::default();
            for (name, value) in facts.split_whitespace().filter_map(|fact| fact.split_once('=')) {
                match name {
                    "http" => ready.http = value.to_owned(),
                    "peer" => ready.peers.extend(value.split(',').map(str::to_owned)),
                    _ => {}
                }
            }
            return Ok(Some(ready));
        }
    }
    Ok(None)
}

/// The socket address of a multiaddress such as `/ip4/127.0.0.1/udp/6481/quic-v1/p2p/…`, if it uses `transport`.
fn socket_address(multiaddress: &str, transport: &str) -> Option<SocketAddr> {
    let mut parts = multiaddress.split('/').skip(1);
    let (_ip, host) = (parts.next()?, parts.next()?);
    let (used, port) = (parts.next()?, parts.next()?);
    (used == transport).then(|| format!("{host}:{port}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_address_is_read_from_a_multiaddress() {
        let peer = "/ip4/127.0.0.1/udp/6481/quic-v1/p2p/12D3KooW";
        assert_eq!(socket_address(peer, "udp"), Some("127.0.0.1:6481".parse().unwrap()));
        assert_eq!(socket_address(peer, "tcp"), None);
    }
}
