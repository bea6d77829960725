//! What every command may be told of the configuration, and the configuration that comes of it.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Config, Problems};

/// What every command may be told of the configuration.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file; without it, defaults, environment and flags are all there is.
    #[arg(long, value_name = "FILE", env = "POSTHOUSE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The relay's domain.
    #[arg(long)]
    domain: Option<String>,
    /// The folder for keys and messages.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen for clients, ip:port.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where to listen for other relays, ip:port, QUIC and TCP alike.
    #[arg(long, value_name = "ADDR")]
    peer_listen: Option<String>,
    /// A TOML file that maps domains to base URLs.
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// Who may register: open, invite or closed.
    #[arg(long, value_name = "WHO")]
    registration: Option<String>,
    /// How the log is written: text or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Options {
    pub(super) fn load(&self, file: Option<&PathBuf>) -> Result<Config, Problems> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("domain", self.domain.clone()),
            ("data", path(&self.data)),
            ("http.listen", self.listen.clone()),
            ("peers.listen", self.peer_listen.clone()),
            ("peers.overrides", path(&self.overrides)),
            ("registration", self.registration.clone()),
            ("log.format", self.log_format.clone()),
        ];
        let flags = flags.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
        let environment =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        config::load(file.map(PathBuf::as_path), environment, flags)
    }

    pub(super) fn config(&self) -> Result<Config, Problems> {
        self.load(self.config.as_ref())
    }
}
