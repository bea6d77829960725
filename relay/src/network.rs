//! The way to other relays, for those who need it before it stands: the rooms and the accounts are made first, and the
//! federation once the ports, and so the manifest, are known. Both may be replaced while the relay runs, when one of its
//! keys is: whoever asks other relays in the moment in between waits for the new way.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use posthouse_crypto::{Verified, follow};
use posthouse_federation::{Federation, LaneId, PeerError};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};
use posthouse_spec::{Domain, ManifestSeq};
use tokio::sync::watch;

use crate::chain::Chain;
use crate::hub::{HubLink, LinkError, ManifestLookup};

/// How long a question waits while the way is being replaced.
const PATIENCE: Duration = Duration::from_secs(10);

/// The relay's own manifest and its federation. Clones share them.
#[derive(Clone)]
pub struct Network {
    domain: Domain,
    chain: Option<Chain>,
    own: Arc<RwLock<Option<Verified<Manifest>>>>,
    way: Arc<watch::Sender<Way>>,
}

/// How other relays are reached.
#[derive(Clone, Default)]
enum Way {
    /// Not yet.
    #[default]
    Starting,
    /// Not for a moment.
    Changing,
    /// By this federation.
    Open(Federation),
}

impl Network {
    /// The network of a relay that has not said anything of itself yet.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self { domain, chain: None, own: Arc::default(), way: Arc::new(watch::Sender::new(Way::Starting)) }
    }

    /// The relay's own chain of manifests lies there.
    #[must_use]
    pub fn with_chain(self, chain: Chain) -> Self {
        Self { chain: Some(chain), ..self }
    }

    /// The relay's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// From now on this is the relay's own manifest.
    pub fn announce(&self, manifest: Verified<Manifest>) {
        // Replacing is one step, so a writer that panicked leaves a sound value.
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Some(manifest);
    }

    /// From now on other relays are reached by this federation.
    pub fn connect(&self, federation: Federation) {
        self.way.send_replace(Way::Open(federation));
    }

    /// The federation is about to be replaced: whoever asks other relays waits until it is.
    pub fn disconnect(&self) {
        self.way.send_replace(Way::Changing);
    }

    /// The relay's own manifest, once it is announced.
    #[must_use]
    pub fn own(&self) -> Option<Verified<Manifest>> {
        self.own.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The federation, while it stands.
    #[must_use]
    pub fn federation(&self) -> Option<Federation> {
        match &*self.way.borrow() {
            Way::Open(federation) => Some(federation.clone()),
            Way::Starting | Way::Changing => None,
        }
    }

    /// Something new waits on a lane. While no federation stands this does nothing: it looks at every lane then.
    pub fn wake(&self, lane: &LaneId) {
        if let Way::Open(federation) = &*self.way.borrow() {
            federation.wake(lane);
        }
    }

    /// The verified manifest of a relay: the own one, or another's.
    ///
    /// # Errors
    /// The relay cannot be found or trusted.
    pub async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        match self.own() {
            Some(own) if *domain == self.domain => Ok(own),
            _ => self.link(domain).await?.manifest(domain).await,
        }
    }

    /// The manifest of a relay, looked up anew: it may have replaced its keys since it was pinned.
    ///
    /// # Errors
    /// The relay cannot be found or trusted.
    pub async fn newest_manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        match self.own() {
            Some(own) if *domain == self.domain => Ok(own),
            _ => self.link(domain).await?.newest_manifest(domain).await,
        }
    }

    /// The manifest that stood at a position of a relay's chain, the own one's or another's.
    ///
    /// # Errors
    /// The relay cannot be found or trusted, or has no such manifest.
    pub async fn manifest_at(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Verified<Manifest>, PeerError> {
        if *domain != self.domain {
            return self.link(domain).await?.manifest_at(domain, seq).await;
        }
        let none = || PeerError::Unknown { domain: domain.clone(), why: format!("it has no manifest {seq}") };
        self.link_of_own(seq).await?.ok_or_else(none)
    }

    /// A link of the relay's own chain, if there is one at that position.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn link_of_own(&self, seq: ManifestSeq) -> Result<Option<Verified<Manifest>>, PeerError> {
        let Some(chain) = &self.chain else { return Ok(None) };
        let unreadable = |error: String| {
            tracing::error!(error, %seq, "a link of the own chain of manifests cannot be read");
            let why = "its chain of manifests cannot be read".to_owned();
            PeerError::Unreachable { domain: self.domain.clone(), why }
        };
        let link = chain.link(seq).await.map_err(|error| unreadable(error.to_string()))?;
        let check = |link| follow(&self.domain, None, &link).map_err(|fault| unreadable(fault.to_string()));
        link.map(check).transpose()
    }

    /// Asks another relay about accounts and key packages.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken.
    pub async fn keys(&self, domain: &Domain, request: KeysRequest) -> Result<KeysResponse, PeerError> {
        self.link(domain).await?.keys(domain, request).await
    }

    async fn link(&self, domain: &Domain) -> Result<Federation, PeerError> {
        let mut way = self.way.subscribe();
        let stands = way.wait_for(|way| !matches!(way, Way::Changing));
        let way = match tokio::time::timeout(PATIENCE, stands).await {
            Ok(Ok(way)) => way.clone(),
            // The sender lives as long as this.
            Ok(Err(_)) | Err(_) => Way::Changing,
        };
        match way {
            Way::Open(federation) => Ok(federation),
            Way::Starting | Way::Changing => Err(PeerError::Unreachable {
                domain: domain.clone(),
                why: "this relay is still starting; try again".into(),
            }),
        }
    }
}

#[async_trait]
impl ManifestLookup for Network {
    async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, LinkError> {
        Self::manifest(self, domain).await.map_err(|error| LinkError(error.to_string()))
    }

    async fn manifest_at(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Verified<Manifest>>, LinkError> {
        match Self::manifest_at(self, domain, seq).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(PeerError::Unknown { why, .. }) => {
                tracing::warn!(%domain, %seq, why, "a manifest that was named is not in the relay's chain");
                Ok(None)
            }
            Err(error) => Err(LinkError(error.to_string())),
        }
    }
}

#[async_trait]
impl HubLink for Network {
    async fn room(&self, hub: &Domain, request: RoomRequest) -> Result<RoomResponse, LinkError> {
        let link = self.link(hub).await.map_err(|error| LinkError(error.to_string()))?;
        link.room(hub, request).await.map_err(|error| LinkError(error.to_string()))
    }
}
