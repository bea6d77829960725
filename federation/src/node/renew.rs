//! When a relay has replaced one of its keys: it shows its new manifest to whoever is connected, at once, and looks
//! another's up anew.

use posthouse_crypto::Verified;
use posthouse_spec::Domain;
use posthouse_spec::manifest::Manifest;

use super::handle::Federation;
use crate::error::PeerError;
use crate::policy::Policy;

impl Federation {
    /// From now on this relay shows `manifest` of itself; relays that are connected hear another hello, so that they
    /// follow at once.
    pub fn announce(&self, manifest: Verified<Manifest>) {
        self.own.replace_manifest(manifest);
        let connector = &self.requests.connector;
        for session in self.peers.sessions() {
            let introductions = std::sync::Arc::clone(&connector.introductions);
            connector.tasks.spawn_cancellable(async move {
                let said = introductions.say(&session.domain, session.peer, session.connection).await;
                if let Err(error) = said {
                    tracing::info!(%error, "a relay was not told of this relay's new manifest; it looks it up");
                }
            });
        }
    }

    /// A relay's manifest, looked up anew, and pinned if it follows the pinned one; the own one is known.
    ///
    /// # Errors
    /// The relay cannot be found, or what is found does not follow.
    pub async fn newest_manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        if *domain == self.own.domain {
            return Ok(self.own.manifest());
        }
        self.directory.discover(domain).await
    }

    /// With whom this relay federates now.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.own.policy()
    }
}
