//! The three sides of mailbags put together for one relay: what it announces, what it answers, and the tasks that it runs.

use std::sync::Arc;
use std::time::Duration;

use posthouse_federation::{Clock, Host};
use posthouse_spec::cbor::List;
use posthouse_spec::manifest::MailbagOffer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collect::Collector;
use super::hold::Holder;
use super::key::{MailbagKeyError, MailbagKeys};
use super::leave::Leaver;
use crate::config::{MailbagSettings, Settings};
use crate::network::Network;
use crate::store::Store;

/// How often bags are looked for that are held no longer.
const SWEEP: Duration = Duration::from_secs(10 * 60);

/// Mailbags at one relay.
pub struct Mailbags {
    settings: MailbagSettings,
    retention_ms: u64,
    /// There where the relay names holders.
    keys: Option<MailbagKeys>,
    holder: Arc<Holder>,
    store: Store,
    clock: Clock,
}

impl Mailbags {
    /// Reads what is needed; a relay that names holders for the first time gets its key. `offered` is what its newest manifest
    /// says of its mailbags.
    ///
    /// # Errors
    /// The key cannot be read or made, or is not the one that others seal to.
    pub fn open(
        settings: &Settings,
        offered: Option<&MailbagOffer>,
        store: &Store,
        clock: &Clock,
    ) -> Result<Self, MailbagKeyError> {
        let keys = match settings.mailbags.holders.is_empty() {
            true => None,
            false => {
                let named = offered.map(|offer| offer.key);
                Some(MailbagKeys::open(&settings.data, named, &mut rand::rng())?)
            }
        };
        Ok(Self {
            settings: settings.mailbags.clone(),
            retention_ms: settings.retention_ms,
            keys,
            holder: Arc::new(Holder::new(store.clone(), &settings.mailbags, Arc::clone(clock))),
            store: store.clone(),
            clock: Arc::clone(clock),
        })
    }

    /// What the relay's manifest says of its mailbags.
    #[must_use]
    pub fn offer(&self) -> Option<MailbagOffer> {
        let key = self.keys.as_ref()?.public();
        // The configuration holds the list's limit.
        Some(MailbagOffer { key, holders: List::new(self.settings.holders.clone()).unwrap_or_default() })
    }

    /// Answers other relays.
    #[must_use]
    pub fn holder(&self) -> Arc<Holder> {
        Arc::clone(&self.holder)
    }

    /// Starts the tasks; they end with `stop`.
    pub fn spawn(
        self,
        network: &Network,
        host: Arc<dyn Host>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let leaver = Leaver::new(
            network.clone(),
            self.store.clone(),
            Arc::clone(&self.clock),
            self.settings.leave_after_ms,
            self.retention_ms,
        );
        tasks.spawn(leaver.run(stop.clone()));
        if let Some(keys) = self.keys {
            let collector = Collector::new(network.clone(), host, self.store, keys, self.clock);
            collector.spawn(&self.settings.holders, tasks, stop);
        }
        tasks.spawn(sweep(self.holder, stop.clone()));
    }
}

async fn sweep(holder: Arc<Holder>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = holder.sweep().await {
            tracing::warn!(%error, "old mailbags could not be thrown away; it is tried again");
        }
    }
}
