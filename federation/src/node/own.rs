//! What a relay knows of itself.

use std::sync::{PoisonError, RwLock};

use posthouse_crypto::{SigningKey, Verified};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis};

use tokio::sync::Notify;

use super::config::Clock;
use crate::policy::Policy;

/// This relay: its name, its key, what it publishes, and with whom it talks. Manifest and policy may be replaced while it
/// runs; each use asks for the newest.
pub(crate) struct Own {
    pub(crate) domain: Domain,
    pub(crate) key: SigningKey,
    pub(crate) allow_private: bool,
    pub(crate) clock: Clock,
    manifest: RwLock<Verified<Manifest>>,
    policy: RwLock<Policy>,
    changed: Notify,
}

impl Own {
    pub(crate) fn new(
        domain: Domain,
        key: SigningKey,
        manifest: Verified<Manifest>,
        policy: Policy,
        allow_private: bool,
        clock: Clock,
    ) -> Self {
        Self {
            domain,
            key,
            allow_private,
            clock,
            manifest: RwLock::new(manifest),
            policy: RwLock::new(policy),
            changed: Notify::new(),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        (self.clock)()
    }

    /// The newest manifest of this relay.
    pub(crate) fn manifest(&self) -> Verified<Manifest> {
        // Replacing is one step, so a writer that panicked leaves a sound value.
        self.manifest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this relay shows `manifest`.
    pub(crate) fn replace_manifest(&self, manifest: Verified<Manifest>) {
        *self.manifest.write().unwrap_or_else(PoisonError::into_inner) = manifest;
        self.changed.notify_one();
    }

    /// Returns once the manifest was replaced; for one who waits.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the operator federates with `domain`.
    pub(crate) fn permits(&self, domain: &Domain) -> bool {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).permits(domain)
    }

    /// The policy that holds.
    pub(crate) fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this policy holds.
    pub(crate) fn replace_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}
