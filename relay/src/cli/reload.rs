//! SIGHUP: the configuration is read again, and what needs no restart is taken over.

use super::options::Options;
use crate::config::{Config, differences};
use crate::logging;
use crate::server::Server;

/// The configuration that a running relay was given last.
pub(super) struct Reloading {
    options: Options,
    last: Config,
}

impl Reloading {
    /// What was read from these options is `config`.
    pub(super) fn new(options: Options, config: Config) -> Self {
        Self { options, last: config }
    }

    /// Reads the configuration again. One that is rejected leaves everything as it is.
    pub(super) async fn again(&mut self, server: &Server) {
        let read = self.options.config().and_then(|config| Ok((config.settings()?, config)));
        let (settings, config) = match read {
            Ok(read) => read,
            Err(problems) => {
                tracing::error!(%problems, "the configuration is rejected, and the one before it stays");
                return;
            }
        };
        let found = differences(&self.last, &config);
        if let Err(error) = server.rules().set_base(settings.peers.policy).await {
            tracing::error!(%error, "the policy could not be taken over, and the one before it stays");
            return;
        }
        if let Err(error) = logging::set_level(&settings.log_level) {
            tracing::error!(%error, "the log level could not be taken over");
        }
        tracing::info!(taken = ?found.live, "the configuration was read again");
        if !found.at_restart.is_empty() {
            tracing::warn!(keys = ?found.at_restart, "these keys have changed, and hold from the next start");
        }
        // What holds only from the next start is named again until then.
        self.last.peers.policy = config.peers.policy;
        self.last.peers.domains = config.peers.domains;
        self.last.log.level = config.log.level;
    }
}
