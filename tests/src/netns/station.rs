//! A relay at a site, and the people there.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

use super::board;
use super::space::{Internet, Site};
use crate::person::Person;
use crate::process::{Leash, tail, terminate, within};

/// The line that a relay writes to standard output when it serves.
const READY: &str = "posthouse-relay ready ";
/// Where clients at the site reach it.
const URL: &str = "http://127.0.0.1:6480";
/// How often a relay is asked about something of which it tells nobody.
const ASKING: Duration = Duration::from_millis(100);
/// How long a relay may take to find its way: hole punching and AutoNAT have pauses of their own, which a busy machine makes
/// longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// A relay at a site of its own.
#[derive(Debug)]
pub struct Station {
    running: Option<Running>,
    domain: String,
    folder: PathBuf,
    relay: PathBuf,
    client: PathBuf,
    people: PathBuf,
    _board: AbortOnDropHandle<()>,
    // Last: the namespace goes after what runs in it.
    site: Site,
}

#[derive(Debug)]
struct Running {
    // Let go of first: a process id may be used again once its process is gone.
    _leash: Leash,
    child: Child,
    _output: AbortOnDropHandle<()>,
}

impl Station {
    /// Lays a relay out; `circuits` is that section of its configuration. [`Station::start`] starts it.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn lay_out(internet: &Internet, site: Site, domain: &str, circuits: &str) -> Result<Self> {
        let relays = internet.folder().join("relays");
        let folder = relays.join(domain);
        fs::create_dir_all(&folder)?;
        let overrides = internet.folder().join("overrides.toml");
        let known = fs::read_to_string(&overrides)?;
        fs::write(&overrides, format!("{known}\"{domain}\" = \"{}\"\n", board::url(domain)))?;
        let station = Self {
            running: None,
            domain: domain.to_owned(),
            relay: site.wrap(&internet.ship().relay, &folder)?,
            client: site.wrap(&internet.ship().client, &folder)?,
            people: internet.folder().join("people"),
            _board: board::publish(&site, &relays)?,
            folder,
            site,
        };
        fs::write(station.config(), station.configuration(&overrides, circuits))?;
        Ok(station)
    }

    /// The relay's domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Where it stands.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        tail(&self.folder.join("relay.log"))
    }

    /// All of its log so far.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn whole_log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("relay.log"))?)
    }

    /// Starts the relay and waits until it serves.
    ///
    /// # Errors
    /// It ends instead, with the end of its log.
    pub async fn start(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("relay.log"))?;
        let mut child = self.command(&["serve"]).stderr(log).spawn().context("starting a relay")?;
        let leash = Leash::on(&child)?;
        let output = child.stdout.take().context("the process has no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if line.starts_with(READY) {
                    return anyhow::Ok(true);
                }
            }
            Ok(false)
        };
        if !within("starting a relay", ready).await?? {
            bail!("{} did not start; its log ends:\n{}", self.domain, self.log());
        }
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.running = Some(Running { _leash: leash, child, _output: AbortOnDropHandle::new(drain) });
        Ok(())
    }

    /// Asks the relay to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some(mut running) => terminate(&mut running.child).await,
            None => Ok(()),
        }
    }

    /// Somebody who registers at this relay, from its own site.
    ///
    /// # Errors
    /// The registration fails.
    pub async fn register(&self, name: &str) -> Result<Person> {
        let alias = format!("{name}@{}", self.domain);
        Person::register_from(&alias, self.people.join(&alias), self.client.clone(), URL).await
    }

    /// By which way it is connected to another relay: `quic`, `tcp`, `circuit`, or nothing.
    ///
    /// # Errors
    /// The relay does not answer.
    pub async fn via(&self, domain: &str) -> Result<Option<String>> {
        let output = within("listing peers", self.command(&["peers", "list", "--json"]).output()).await??;
        if !output.status.success() {
            bail!("`peers list` failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let peers: Vec<Value> =
            serde_json::from_slice(&output.stdout).context("what `peers list` printed")?;
        let peer = peers.iter().find(|peer| peer["domain"] == domain);
        Ok(peer.and_then(|peer| peer["state"]["via"].as_str()).map(str::to_owned))
    }

    /// Waits until the way to another relay is as wanted.
    ///
    /// # Errors
    /// It does not become so, with the end of the log.
    pub async fn until_via(&self, domain: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let look = async || Ok(self.via(domain).await?.filter(|via| wanted(via)));
        self.until(&format!("the way to {domain}"), look).await
    }

    /// Waits until the relay knows by others' attempts that it is `public`, or `private`.
    ///
    /// # Errors
    /// It does not learn it, with the end of the log.
    pub async fn until_standing(&self, standing: &str) -> Result<()> {
        let look = async || {
            let output = self.command(&["reach", "--json"]).output().await?;
            if !output.status.success() {
                bail!("`reach` failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            let reach: Value = serde_json::from_slice(&output.stdout).context("what `reach` printed")?;
            Ok((reach["standing"] == standing).then_some(()))
        };
        self.until(&format!("learning that it is {standing}"), look).await
    }

    /// Waits until no connection to another relay stands.
    ///
    /// # Errors
    /// It stands on, with the end of the log.
    pub async fn until_apart(&self, domain: &str) -> Result<()> {
        let look = async || Ok(self.via(domain).await?.is_none().then_some(()));
        self.until(&format!("the end of the connection to {domain}"), look).await
    }

    /// Waits until the relay's log says something.
    ///
    /// # Errors
    /// It does not, with the end of the log.
    pub async fn until_logged(&self, words: &str) -> Result<()> {
        let look = async || Ok(self.whole_log()?.contains(words).then_some(()));
        self.until(&format!("waiting for `{words}` in the log"), look).await
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
        let looking = async {
            loop {
                if let Some(found) = look().await? {
                    return anyhow::Ok(found);
                }
                tokio::time::sleep(ASKING).await;
            }
        };
        let slow = || {
            let (domain, seconds) = (&self.domain, PATIENCE.as_secs());
            format!("{domain}: {what} took longer than {seconds} s; its log ends:\n{}", self.log())
        };
        tokio::time::timeout(PATIENCE, looking).await.with_context(slow)?
    }

    fn config(&self) -> PathBuf {
        self.folder.join("relay.toml")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.relay);
        command.args(args).arg("--config").arg(self.config()).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("POSTHOUSE_")) {
                command.env_remove(name);
            }
        }
        command
    }

    fn configuration(&self, overrides: &Path, circuits: &str) -> String {
        let address = self.site.address();
        // A relay at home announces nothing: it has no address that means anything to others.
        let announce = match self.site.is_at_home() {
            true => String::new(),
            false => format!("\"/ip4/{address}/udp/6481/quic-v1\", \"/ip4/{address}/tcp/6481\""),
        };
        format!(
            r#"domain = "{domain}"
data = '{data}'
public_url = "{URL}"

[http]
listen = "127.0.0.1:6480"

[peers]
listen = "0.0.0.0:6481"
announce = [{announce}]
overrides = '{overrides}'

[circuits]
{circuits}

[limits]
registrations_per_minute = 100000
logins_per_minute = 100000
claims_per_minute = 100000

[log]
level = "info,posthouse_federation=debug"
"#,
            domain = self.domain,
            data = self.folder.join("data").display(),
            overrides = overrides.display(),
        )
    }
}
