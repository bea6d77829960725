//! A person: the real `posthouse` program, and a home folder of their own.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::network::Network;
use crate::process::{Leash, within};
use crate::running::{Listener, Sending, parse};

/// With what people open their vaults, unless a test says otherwise.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// What a command did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The JSON objects that it printed.
    pub lines: Vec<Value>,
    /// What it said on standard error.
    pub stderr: String,
}

impl Outcome {
    /// The lines of one type.
    #[must_use]
    pub fn of_type(&self, name: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["type"] == name).collect()
    }

    /// The stable name of the error, if there was one.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.lines.last().and_then(|line| line["error"]["code"].as_str())
    }
}

/// With what somebody opens their vault.
#[derive(Debug, Clone)]
enum Lock {
    Passphrase(String),
    KeyFile(PathBuf),
}

/// A person with a home of their own.
#[derive(Debug)]
pub struct Person {
    alias: String,
    home: PathBuf,
    program: PathBuf,
    relay_url: String,
    lock: Mutex<Lock>,
    friends: Mutex<Vec<String>>,
}

impl Person {
    /// Somebody who has not registered yet.
    ///
    /// # Errors
    /// The alias has no domain, or the home cannot be made.
    pub fn new(network: &Network, alias: &str) -> Result<Self> {
        Self::at_home(network, alias, &alias.replace('@', "-at-"))
    }

    /// Somebody who has not registered yet, in the home folder `home` of the network.
    ///
    /// # Errors
    /// As for [`Person::new`].
    pub fn at_home(network: &Network, alias: &str, home: &str) -> Result<Self> {
        let (_, domain) = alias.split_once('@').context("an alias is name@domain")?;
        let home = network.folder().join("people").join(home);
        fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
        Ok(Self {
            alias: alias.to_owned(),
            home,
            program: network.ship().client.clone(),
            relay_url: network.relay(domain).http_url(),
            lock: Mutex::new(Lock::Passphrase(PASSPHRASE.to_owned())),
            friends: Mutex::default(),
        })
    }

    /// Somebody who has registered at the relay of their alias's domain.
    ///
    /// # Errors
    /// The registration fails.
    pub async fn register(network: &Network, alias: &str) -> Result<Self> {
        let person = Self::new(network, alias)?;
        person.sign_up().await?;
        Ok(person)
    }

    /// Somebody who has registered with a key file, which opens a vault faster than a passphrase.
    ///
    /// # Errors
    /// The registration fails.
    pub async fn register_with_key_file(network: &Network, alias: &str) -> Result<Self> {
        let person = Self::new(network, alias)?;
        *person.lock() = Lock::KeyFile(person.home.join("key"));
        person.sign_up().await?;
        Ok(person)
    }

    /// Somebody who registers by another program than the network's, with a key file.
    pub(crate) async fn register_from(
        alias: &str,
        home: PathBuf,
        program: PathBuf,
        relay_url: &str,
    ) -> Result<Self> {
        fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
        let lock = Mutex::new(Lock::KeyFile(home.join("key")));
        let (alias, relay_url) = (alias.to_owned(), relay_url.to_owned());
        let person = Self { alias, home, program, relay_url, lock, friends: Mutex::default() };
        person.sign_up().await?;
        Ok(person)
    }

    async fn sign_up(&self) -> Result<()> {
        let lines = self.ok(&["register", &self.alias, "--relay", &self.relay_url]).await?;
        ensure!(lines.iter().any(|line| line["recovery_code"].is_string()), "no recovery code: {lines:?}");
        Ok(())
    }

    /// The alias.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder of the vault.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.home.join("default")
    }

    /// The base URL of the person's relay.
    #[must_use]
    pub fn relay_url(&self) -> &str {
        &self.relay_url
    }

    /// The environment variable that opens the vault, and its value.
    #[must_use]
    pub fn unlocking(&self) -> (&'static str, String) {
        match &*self.lock() {
            Lock::Passphrase(passphrase) => ("POSTHOUSE_PASSPHRASE", passphrase.clone()),
            Lock::KeyFile(file) => ("POSTHOUSE_KEY_FILE", file.display().to_string()),
        }
    }

    /// Uses another passphrase from now on.
    pub fn set_passphrase(&self, passphrase: &str) {
        *self.lock() = Lock::Passphrase(passphrase.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Lock> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command that is ready to be started, with JSON output.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // No test touches the keyring of whoever runs it.
        for name in
            ["DBUS_SESSION_BUS_ADDRESS", "POSTHOUSE_PROFILE", "POSTHOUSE_KEY_FILE", "POSTHOUSE_PASSPHRASE"]
        {
            command.env_remove(name);
        }
        let (name, value) = self.unlocking();
        command.env("POSTHOUSE_HOME", &self.home).env(name, value);
        command.arg("--json").args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, whatever that is.
    ///
    /// # Errors
    /// It cannot be started, takes too long, or prints what is no JSON.
    pub async fn run(&self, args: &[&str]) -> Result<Outcome> {
        self.run_with_input(args, "").await
    }

    /// Runs a command that reads standard input.
    ///
    /// # Errors
    /// As for [`Person::run`].
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Result<Outcome> {
        let what = format!("`posthouse {}` of {}", args.join(" "), self.alias);
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).spawn().with_context(|| format!("starting {what}"))?;
        let mut stdin = child.stdin.take().context("the process has no standard input")?;
        let feed = async move {
            // A command that ended early does not read to the end.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let ((), output) = within(&what, async { tokio::join!(feed, child.wait_with_output()) }).await?;
        let output = output?;
        let lines = String::from_utf8(output.stdout).with_context(|| format!("the output of {what}"))?;
        Ok(Outcome {
            code: output.status.code(),
            lines: lines.lines().map(parse).collect::<Result<_>>()?,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// It does not, with what it said.
    pub async fn ok(&self, args: &[&str]) -> Result<Vec<Value>> {
        let outcome = self.run(args).await?;
        if outcome.code != Some(0) {
            bail!(
                "`posthouse {}` of {} ended with {:?}: {:?} {}",
                args.join(" "),
                self.alias,
                outcome.code,
                outcome.lines,
                outcome.stderr
            );
        }
        Ok(outcome.lines)
    }

    /// Sends a text and says what became of it: `queued` or `accepted`.
    ///
    /// # Errors
    /// The command fails.
    pub async fn try_send(&self, to: &Self, text: &str) -> Result<String> {
        let lines = self.ok(&["send", &to.alias, text]).await?;
        let sent = lines.iter().find(|line| line["type"] == "sent").context("send told nothing")?;
        Ok(sent["state"].as_str().context("send told no state")?.to_owned())
    }

    /// Sends a text, which the relay must accept.
    ///
    /// # Errors
    /// It does not.
    pub async fn send(&self, to: &Self, text: &str) -> Result<()> {
        let lines = self.ok(&["send", &to.alias, text]).await?;
        let accepted = lines.iter().any(|line| line["type"] == "sent" && line["state"] == "accepted");
        ensure!(accepted, "{} could not send to {}: {lines:?}", self.alias, to.alias);
        Ok(())
    }

    /// Writes first, is accepted, and is answered: after it both can write.
    ///
    /// # Errors
    /// A step fails.
    pub async fn befriend(&self, other: &Self) -> Result<()> {
        self.send(other, "hello").await?;
        other.await_request(self).await?;
        other.ok(&["accept", &self.alias]).await?;
        self.remember(other);
        other.remember(self);
        other.expect_from(self, &["hello"]).await?;
        other.send(self, "hello yourself").await?;
        self.expect_from(other, &["hello yourself"]).await
    }

    /// Waits until the other one's request is there.
    ///
    /// # Errors
    /// It does not come.
    pub async fn await_request(&self, from: &Self) -> Result<()> {
        let asked = async || -> Result<bool> {
            let lines = self.ok(&["requests", "--offline"]).await?;
            Ok(lines.iter().any(|line| line["type"] == "request" && line["alias"] == from.alias()))
        };
        self.live_until(&format!("the request of {}", from.alias), asked).await
    }

    /// Waits until the last texts received from the only friend are these, in this order.
    ///
    /// # Errors
    /// They do not come, or there are several friends.
    pub async fn expect(&self, texts: &[&str]) -> Result<()> {
        let friends = self.friends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let [friend] = &friends[..] else { bail!("{} has not one friend: {friends:?}", self.alias) };
        self.expect_from_alias(friend, texts).await
    }

    /// Waits until the last texts received from somebody are these, in this order.
    ///
    /// # Errors
    /// They do not come.
    pub async fn expect_from(&self, from: &Self, texts: &[&str]) -> Result<()> {
        self.expect_from_alias(&from.alias, texts).await
    }

    async fn expect_from_alias(&self, from: &str, texts: &[&str]) -> Result<()> {
        let there = async || -> Result<bool> {
            let received = self.received(from, texts.len()).await?;
            Ok(received.iter().map(String::as_str).eq(texts.iter().copied()))
        };
        self.live_until(&format!("{texts:?} from {from}"), there).await
    }

    /// The last `count` texts received from somebody, as the vault has them, oldest first.
    ///
    /// # Errors
    /// The command fails.
    pub async fn received(&self, from: &str, count: usize) -> Result<Vec<String>> {
        let outcome = self.run(&["history", from, "--offline"]).await?;
        let texts: Vec<String> = outcome
            .of_type("message")
            .into_iter()
            .filter(|message| message["direction"] == "in")
            .filter_map(|message| message["text"].as_str().map(str::to_owned))
            .collect();
        Ok(texts[texts.len().saturating_sub(count)..].to_vec())
    }

    /// All texts of a conversation that went one way (`in` or `out`), oldest first, after a sync.
    ///
    /// # Errors
    /// The command fails.
    pub async fn history(&self, with: &Self, direction: &str) -> Result<Vec<String>> {
        let lines = self.ok(&["history", &with.alias]).await?;
        let texts = lines.iter().filter(|line| line["type"] == "message" && line["direction"] == direction);
        Ok(texts.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect())
    }

    /// Starts to send texts, one message each, and does not wait for the end.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn start_sending(&self, to: &Self, texts: &[String]) -> Result<Sending> {
        let mut command = self.command(&["send", &to.alias, "-", "--lines"]);
        let mut child = command.stdin(Stdio::piped()).spawn().context("starting `send`")?;
        let mut stdin = child.stdin.take().context("the process has no standard input")?;
        stdin.write_all((texts.join("\n") + "\n").as_bytes()).await.context("giving `send` its texts")?;
        let output = child.stdout.take().context("the process has no standard output")?;
        Ok(Sending { child, lines: BufReader::new(output).lines() })
    }

    /// Starts `listen`: the vault's owner if there is none yet, else one that follows the owner.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn listen(&self) -> Result<Listener> {
        let path = self.home.join("listen.log");
        let log = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut child = self.command(&["listen"]).stderr(log).spawn().context("starting `listen`")?;
        let output = child.stdout.take().context("the process has no standard output")?;
        let leash = Leash::on(&child)?;
        Ok(Listener { _leash: leash, child, lines: BufReader::new(output).lines(), log: path })
    }

    fn remember(&self, other: &Self) {
        let mut friends = self.friends.lock().unwrap_or_else(PoisonError::into_inner);
        if !friends.contains(&other.alias) {
            friends.push(other.alias.clone());
        }
    }

    /// Listens until `done` says that it is so, asking again after each event.
    pub(crate) async fn live_until(&self, what: &str, done: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let mut listener = self.listen().await?;
        let wait = async {
            loop {
                listener.next().await?;
                if done().await? {
                    return anyhow::Ok(());
                }
            }
        };
        within(&format!("{} waiting for {what}", self.alias), wait).await??;
        listener.terminate().await
    }
}
