//! What a relay knows of itself.

use posthouse_crypto::{SigningKey, Verified};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis};

use super::config::Clock;
use crate::policy::Policy;

/// This relay: its name, its key, what it publishes, and with whom it talks.
pub(crate) struct Own {
    pub(crate) domain: Domain,
    pub(crate) key: SigningKey,
    pub(crate) manifest: Verified<Manifest>,
    pub(crate) policy: Policy,
    pub(crate) allow_private: bool,
    pub(crate) clock: Clock,
}

impl Own {
    pub(crate) fn now(&self) -> Millis {
        (self.clock)()
    }
}
