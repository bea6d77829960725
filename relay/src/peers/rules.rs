//! The operator's rules on single domains, over the policy of the configuration: durable, and in force at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use posthouse_federation::policy::{Policy, Rule};
use posthouse_spec::{Domain, Millis};
use tokio::sync::Mutex;

use crate::network::Network;
use crate::store::{DomainRule, Ruling, Store, StoreError};

/// The rules of a relay. Clones share them.
#[derive(Clone)]
pub struct Rules {
    store: Store,
    /// The way to other relays, where the relay runs.
    network: Option<Network>,
    /// The configuration's policy. Held over each change, so that what is in force is what is stored.
    base: Arc<Mutex<Policy>>,
}

/// Whether a domain is federated with, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether envelopes and requests may pass.
    pub permitted: bool,
    /// The operator's rule on the domain, and since when.
    pub rule: Option<(Rule, Millis)>,
    /// The name of the configuration's policy.
    pub policy: &'static str,
}

impl Rules {
    /// The rules in `store` over the policy `base`.
    #[must_use]
    pub fn new(store: Store, network: Option<Network>, base: Policy) -> Self {
        Self { store, network, base: Arc::new(Mutex::new(base)) }
    }

    /// The policy with all rules.
    ///
    /// # Errors
    /// The store failed.
    pub async fn effective(&self) -> Result<Policy, StoreError> {
        let base = self.base.lock().await;
        self.over(&base).await
    }

    /// Tells a federation that has just been connected of the policy with all rules.
    ///
    /// # Errors
    /// The store failed, and the policy that the federation was started with stays.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let base = self.base.lock().await;
        self.enforce(&base).await
    }

    /// Makes a rule, in place of an earlier one: the newest word counts.
    ///
    /// # Errors
    /// The store failed, and nothing was changed.
    pub async fn set(&self, now: Millis, domain: &Domain, rule: Rule) -> Result<(), StoreError> {
        let base = self.base.lock().await;
        let ruling = match rule {
            Rule::Allow => Ruling::Allow,
            Rule::Deny => Ruling::Deny,
        };
        self.store.set_peer_rule(DomainRule { domain: domain.clone(), ruling, created: now }).await?;
        tracing::info!(%domain, rule = rule.name(), "the operator has made a rule on a relay");
        self.enforce(&base).await
    }

    /// Removes the rule on a domain: the configuration's policy holds for it again. Whether there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn forget(&self, domain: &Domain) -> Result<bool, StoreError> {
        let base = self.base.lock().await;
        let was = self.store.forget_peer_rule(domain).await?;
        if was {
            tracing::info!(%domain, "the operator has removed the rule on a relay");
            self.enforce(&base).await?;
        }
        Ok(was)
    }

    /// From now on this is the policy under the rules.
    ///
    /// # Errors
    /// The store failed, and the policy before it stays.
    pub async fn set_base(&self, policy: Policy) -> Result<(), StoreError> {
        let mut base = self.base.lock().await;
        self.enforce(&policy).await?;
        *base = policy;
        Ok(())
    }

    /// How it stands with a domain.
    ///
    /// # Errors
    /// The store failed.
    pub async fn standing(&self, domain: &Domain) -> Result<Standing, StoreError> {
        let base = self.base.lock().await;
        let permitted = self.over(&base).await?.permits(domain);
        let rules = self.store.peer_rules().await?;
        let rule =
            rules.into_iter().find(|rule| rule.domain == *domain).map(|rule| (of(rule.ruling), rule.created));
        Ok(Standing { permitted, rule, policy: base.name() })
    }

    async fn over(&self, base: &Policy) -> Result<Policy, StoreError> {
        let rules: BTreeMap<Domain, Rule> =
            self.store.peer_rules().await?.into_iter().map(|rule| (rule.domain, of(rule.ruling))).collect();
        Ok(base.with_rules(&rules))
    }

    async fn enforce(&self, base: &Policy) -> Result<(), StoreError> {
        let policy = self.over(base).await?;
        if let Some(federation) = self.network.as_ref().and_then(Network::federation) {
            federation.set_policy(policy);
        }
        Ok(())
    }
}

fn of(ruling: Ruling) -> Rule {
    match ruling {
        Ruling::Allow => Rule::Allow,
        Ruling::Deny => Rule::Deny,
    }
}
