//! The other relay as a process, which is told what to do and tells what happens in lines of JSON.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use posthouse_tests::{Network, Relay, tail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::tools::Tools;

/// How long the other relay may be silent before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// How much of each event is shown when a test fails, characters.
const SHOWN: usize = 300;

/// A relay of another make.
pub(crate) struct Other {
    folder: PathBuf,
    // Ends when it is dropped: with it goes its standard input, and it stops when that ends.
    _child: Child,
    commands: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Other {
    /// Starts it, and tells our relays where it is found.
    pub(crate) async fn start(tools: &Tools, network: &Network, ours: &Relay, domain: &str) -> Result<Self> {
        let folder = network.folder().join("other");
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(&tools.node);
        command.current_dir(Tools::folder()).arg("main.mjs");
        command.args(["--relay", ours.domain(), "--relay-url", &ours.http_url(), "--domain", domain]);
        command.arg("--capture").arg(&folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(folder.join("log"))?);
        let mut child = command.kill_on_drop(true).spawn().context("starting the other relay")?;
        let commands = child.stdin.take().context("the process has no standard input")?;
        let output = child.stdout.take().context("the process has no standard output")?;
        let events = BufReader::new(output).lines();
        let mut other = Self { folder, _child: child, commands, events, said: Vec::new() };
        let ready = other.until("ready").await.map_err(|error| other.explain(error, network))?;
        for (domain, url) in ready["overrides"].as_object().context("no overrides")? {
            network.add_override(domain, url.as_str().context("a URL is a text")?)?;
        }
        Ok(other)
    }

    /// A file that it has written.
    pub(crate) fn captured(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Tells it what to do.
    pub(crate) async fn tell(&mut self, command: &Value) -> Result<()> {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.context("telling the other relay")
    }

    /// Waits for an event; one that says that something failed is an error.
    pub(crate) async fn until(&mut self, name: &str) -> Result<Value> {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.events.next_line());
            let line = line.await.with_context(|| format!("waiting for `{name}` of the other relay"))??;
            let Some(line) = line else { bail!("the other relay ended before it said `{name}`") };
            self.said.push(line.chars().take(SHOWN).collect());
            let event: Value = serde_json::from_str(&line).with_context(|| format!("`{line}` is no JSON"))?;
            match event["event"].as_str() {
                Some("failed") => {
                    bail!("{}\n{}", event["check"], event["why"].as_str().unwrap_or_default())
                }
                Some(found) if found == name => return Ok(event),
                _ => {}
            }
        }
    }

    /// Adds to an error what both relays said.
    pub(crate) fn explain(&self, error: anyhow::Error, network: &Network) -> anyhow::Error {
        let logs: String = network.relays().map(|relay| tail(&relay.log())).collect();
        let theirs = tail(&self.folder.join("log"));
        let said = self.said.join("\n");
        error.context(format!("the other relay said:\n{said}\n{theirs}\nour relay's log ends:\n{logs}"))
    }
}

/// The items of an envelope that it tells of.
pub(crate) fn items(envelope: &Value) -> Result<Vec<Vec<u8>>> {
    let items = envelope["items"].as_array().context("an envelope has items")?;
    items.iter().map(|item| Ok(hex::decode(item["bytes"].as_str().context("an item has bytes")?)?)).collect()
}
