//! The same commands for a relay that does not run, on its store.

use anyhow::Context as _;
use posthouse_federation::Rule;
use posthouse_spec::{Domain, Millis};

use crate::config::Settings;
use crate::peers::facts::Changed;
use crate::peers::gather::Desk;
use crate::peers::rules::Rules;
use crate::peers::stopped;
use crate::store::{Store, StoreError};

use super::super::terminal::now;

/// The store of a relay that does not run.
pub(super) struct Offline {
    store: Store,
    rules: Rules,
}

impl Offline {
    /// Opens the store; no relay can start on it meanwhile.
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (store, rules) = stopped::open(settings).await?;
        Ok(Self { store, rules })
    }

    /// Asks something, and closes the store.
    pub(super) async fn with<T>(
        self,
        ask: impl AsyncFnOnce(Desk<'_>) -> Result<T, StoreError>,
    ) -> anyhow::Result<T> {
        let desk = Desk { store: &self.store, rules: &self.rules, live: None, now: now() };
        let answer = ask(desk).await;
        self.store.close().await;
        answer.context("reading the relay's store")
    }

    /// Makes a rule, or removes the one that there is, and closes the store.
    pub(super) async fn rule(
        self,
        domain: &Domain,
        rule: Option<&str>,
        at: Millis,
    ) -> anyhow::Result<Changed> {
        anyhow::ensure!(domain != self.store.domain(), "{domain} is this relay itself; name another one");
        let rules = self.rules.clone();
        self.with(async |desk| {
            match rule.and_then(Rule::of) {
                Some(rule) => rules.set(at, domain, rule).await?,
                None => drop(rules.forget(domain).await?),
            }
            desk.changed(domain).await
        })
        .await
    }
}
