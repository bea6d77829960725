//! Several relays on one machine that find each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::relay::Relay;
use crate::ship::Ship;

/// A temporary folder with relays, people, and the file that tells where each domain is found.
#[derive(Debug)]
pub struct Network {
    relays: BTreeMap<String, Relay>,
    overrides: Mutex<BTreeMap<String, String>>,
    ship: Ship,
    // Last, so that the folder goes after the processes that write to it.
    folder: TempDir,
}

impl Network {
    /// An empty network. The programs are built first, if nobody has done it yet.
    ///
    /// # Errors
    /// The build fails, or no temporary folder can be made.
    pub fn new() -> Result<Self> {
        let ship = Ship::build()?.clone();
        let folder =
            tempfile::Builder::new().prefix("posthouse-").tempdir().context("making a temporary folder")?;
        let network = Self { relays: BTreeMap::new(), overrides: Mutex::default(), ship, folder };
        fs::write(network.overrides_file(), "")?;
        Ok(network)
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The programs.
    #[must_use]
    pub fn ship(&self) -> &Ship {
        &self.ship
    }

    /// Says at which base URL a domain's manifest is found; every relay rereads it at each look-up.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_override(&self, domain: &str, url: &str) -> Result<()> {
        let mut overrides = self.overrides.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        overrides.insert(domain.to_owned(), url.to_owned());
        let text: String =
            overrides.iter().map(|(domain, url)| format!("\"{domain}\" = \"{url}\"\n")).collect();
        // Replaced at once, so that no relay reads half a file.
        let fresh = self.folder().join("overrides.fresh");
        fs::write(&fresh, text)?;
        fs::rename(&fresh, self.overrides_file()).context("writing the overrides file")
    }

    /// The relays `a.localhost` and `b.localhost`, up.
    ///
    /// # Errors
    /// One does not start.
    pub async fn of_two() -> Result<Self> {
        let mut network = Self::new()?;
        network.start("a.localhost").await?;
        network.start("b.localhost").await?;
        Ok(network)
    }

    /// Adds a relay and starts it.
    ///
    /// # Errors
    /// The domain is taken, or the relay does not start.
    pub async fn start(&mut self, domain: &str) -> Result<()> {
        self.add(domain).await?.start().await
    }

    /// Adds a relay that is not up yet.
    ///
    /// # Errors
    /// The domain is taken, or its folder cannot be laid out.
    pub async fn add(&mut self, domain: &str) -> Result<&Relay> {
        ensure!(!self.relays.contains_key(domain), "{domain} is in the network already");
        let folder = self.folder().join("relays").join(domain);
        let relay = Relay::lay_out(&self.ship.relay, &folder, domain, &self.overrides_file()).await?;
        self.add_override(domain, &relay.http_url())?;
        Ok(self.relays.entry(domain.to_owned()).or_insert(relay))
    }

    /// The relay of a domain.
    ///
    /// # Panics
    /// Where no such relay was started: a mistake of the test.
    #[must_use]
    pub fn relay(&self, domain: &str) -> &Relay {
        self.relays.get(domain).expect("a test asks only for relays that it has started")
    }

    /// All relays.
    pub fn relays(&self) -> impl Iterator<Item = &Relay> {
        self.relays.values()
    }

    pub(crate) fn overrides_file(&self) -> PathBuf {
        self.folder.path().join("overrides.toml")
    }
}
