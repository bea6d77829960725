//! The way to other relays, for those who need it before it stands: the rooms and the accounts are made first, and the
//! federation once the ports, and so the manifest, are known.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use posthouse_crypto::Verified;
use posthouse_federation::{Federation, LaneId, PeerError};
use posthouse_spec::Domain;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};

use crate::hub::{HubLink, LinkError, ManifestLookup};

/// The relay's own manifest and its federation. Clones share them.
#[derive(Clone)]
pub struct Network {
    domain: Domain,
    own: Arc<OnceLock<Verified<Manifest>>>,
    federation: Arc<OnceLock<Federation>>,
}

impl Network {
    /// The network of a relay that has not said anything of itself yet.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self { domain, own: Arc::default(), federation: Arc::default() }
    }

    /// The relay's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Names the relay's own manifest, once.
    pub fn announce(&self, manifest: Verified<Manifest>) {
        if self.own.set(manifest).is_err() {
            tracing::debug!("the relay's manifest was announced before");
        }
    }

    /// Opens the way to other relays, once.
    pub fn connect(&self, federation: Federation) {
        if self.federation.set(federation).is_err() {
            tracing::debug!("the way to other relays was open before");
        }
    }

    /// The relay's own manifest, once it is announced.
    #[must_use]
    pub fn own(&self) -> Option<&Verified<Manifest>> {
        self.own.get()
    }

    /// The federation, once it stands.
    #[must_use]
    pub fn federation(&self) -> Option<&Federation> {
        self.federation.get()
    }

    /// Something new waits on a lane. Before the federation stands this does nothing: it looks at every lane then.
    pub fn wake(&self, lane: &LaneId) {
        if let Some(federation) = self.federation.get() {
            federation.wake(lane);
        }
    }

    /// The verified manifest of a relay: the own one, or another's.
    ///
    /// # Errors
    /// The relay cannot be found or trusted.
    pub async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        match self.own.get() {
            Some(own) if *domain == self.domain => Ok(own.clone()),
            _ => self.link(domain)?.manifest(domain).await,
        }
    }

    /// Asks another relay about accounts and key packages.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken.
    pub async fn keys(&self, domain: &Domain, request: KeysRequest) -> Result<KeysResponse, PeerError> {
        self.link(domain)?.keys(domain, request).await
    }

    fn link(&self, domain: &Domain) -> Result<&Federation, PeerError> {
        self.federation.get().ok_or_else(|| PeerError::Unreachable {
            domain: domain.clone(),
            why: "this relay is still starting; try again".into(),
        })
    }
}

#[async_trait]
impl ManifestLookup for Network {
    async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, LinkError> {
        Self::manifest(self, domain).await.map_err(|error| LinkError(error.to_string()))
    }
}

#[async_trait]
impl HubLink for Network {
    async fn room(&self, hub: &Domain, request: RoomRequest) -> Result<RoomResponse, LinkError> {
        let link = self.link(hub).map_err(|error| LinkError(error.to_string()))?;
        link.room(hub, request).await.map_err(|error| LinkError(error.to_string()))
    }
}
