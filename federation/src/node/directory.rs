//! Which manifest a domain has: this relay's own, the pinned one, or what discovery finds.
//!
//! A manifest is pinned for the first time only through discovery (the operator's overrides file, or HTTPS under the
//! domain's name), never because a peer shows one; after that it is followed along its chain, whoever brings the next
//! link.

use std::sync::Arc;
use std::time::Duration;

use posthouse_crypto::Verified;
use posthouse_crypto::manifest::{ManifestFault, follow};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Signed};
use tokio::sync::Semaphore;

use super::own::Own;
use crate::discovery::Discovery;
use crate::error::PeerError;
use crate::host::{Host, HostError};
use crate::link::Violation;

/// Look-ups at once that strangers cause.
const MAX_STRANGERS: usize = 8;
/// How long a stranger waits for its turn.
const STRANGER_PATIENCE: Duration = Duration::from_secs(4);

/// Finds and pins manifests.
pub(crate) struct Directory {
    own: Arc<Own>,
    host: Arc<dyn Host>,
    discovery: Discovery,
    /// Held from reading a pin to replacing it, so that no older manifest overwrites a newer one.
    pinning: tokio::sync::Mutex<()>,
    /// Turns for look-ups that strangers cause by their hello: fewer than there are look-ups at once, so that they never
    /// keep this relay's own users waiting.
    strangers: Semaphore,
}

/// Why a manifest was not taken.
enum NotAdopted {
    Fault(ManifestFault),
    Host(HostError),
}

impl Directory {
    pub(crate) fn new(own: Arc<Own>, host: Arc<dyn Host>, discovery: Discovery) -> Self {
        Self {
            own,
            host,
            discovery,
            pinning: tokio::sync::Mutex::default(),
            strangers: Semaphore::new(MAX_STRANGERS),
        }
    }

    /// The own manifest, the pinned one, or what discovery finds.
    pub(crate) async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        match self.pinned(domain).await? {
            Some(manifest) => Ok(manifest),
            None => self.discover(domain).await,
        }
    }

    /// What is known without asking anybody.
    pub(crate) async fn pinned(&self, domain: &Domain) -> Result<Option<Verified<Manifest>>, PeerError> {
        if *domain == self.own.domain {
            return Ok(Some(self.own.manifest()));
        }
        let pinned = self.host.pinned(domain).await.map_err(|e| own_store_failed(domain, &e))?;
        let check = |pinned| follow(domain, None, &pinned).map_err(|fault| unknown(domain, &fault));
        pinned.map(check).transpose()
    }

    /// Whether the operator's file speaks of this domain.
    pub(crate) async fn is_overridden(&self, domain: &Domain) -> Result<bool, PeerError> {
        let url = self.discovery.override_of(domain).await.map_err(|fault| unknown(domain, &fault))?;
        Ok(url.is_some())
    }

    /// Looks the manifest up anew, and pins it if it follows the one that is pinned.
    pub(crate) async fn discover(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        let found = self.discovery.find(domain).await.map_err(|fault| match fault.is_temporary() {
            true => PeerError::Unreachable { domain: domain.clone(), why: fault.to_string() },
            false => unknown(domain, &fault),
        })?;
        self.adopt(domain, &found.manifest).await.map_err(|not| match not {
            NotAdopted::Fault(fault) => unknown(domain, &fault),
            NotAdopted::Host(error) => own_store_failed(domain, &error),
        })
    }

    /// Checks the manifest that a peer shows of itself.
    pub(crate) async fn presented(
        &self,
        domain: &Domain,
        shown: &Signed<Manifest>,
    ) -> Result<Verified<Manifest>, Violation> {
        // Its own signature first: a look-up on the word of anybody who can write a domain would be a gift to them.
        follow(domain, None, shown).map_err(name_fault)?;
        if *domain == self.own.domain {
            let own = self.own.manifest();
            return follow(domain, Some(own.signed()), shown).map_err(name_fault);
        }
        let unavailable = |error: &dyn std::fmt::Display| {
            Violation::new(PeerRule::Unavailable, format!("this relay's store failed: {error}"))
        };
        let known = self.host.pinned(domain).await.map_err(|e| unavailable(&e))?;
        if known.is_none() {
            let turn = tokio::time::timeout(STRANGER_PATIENCE, self.strangers.acquire()).await;
            let busy =
                |_| Violation::new(PeerRule::Unavailable, "too many unknown relays call at once: try again");
            let _turn = turn.map_err(busy)?;
            self.discover(domain).await.map_err(|error| Violation::new(PeerRule::UnknownDomain, error))?;
        }
        self.adopt(domain, shown).await.map_err(|not| match not {
            NotAdopted::Fault(fault) => name_fault(fault),
            NotAdopted::Host(error) => unavailable(&error),
        })
    }

    async fn adopt(&self, domain: &Domain, new: &Signed<Manifest>) -> Result<Verified<Manifest>, NotAdopted> {
        let _turn = self.pinning.lock().await;
        let pinned = self.host.pinned(domain).await.map_err(NotAdopted::Host)?;
        let manifest = follow(domain, pinned.as_ref(), new).map_err(NotAdopted::Fault)?;
        if pinned.as_ref() != Some(new) {
            self.host.pin(domain, new).await.map_err(NotAdopted::Host)?;
            tracing::info!(%domain, seq = %manifest.seq, "pinned a manifest");
        }
        Ok(manifest)
    }
}

fn name_fault(fault: ManifestFault) -> Violation {
    let rule = match fault {
        ManifestFault::Signature(_) => PeerRule::ManifestSignature,
        _ => PeerRule::ManifestChain,
    };
    Violation::new(rule, fault)
}

fn unknown(domain: &Domain, why: &dyn std::fmt::Display) -> PeerError {
    PeerError::Unknown { domain: domain.clone(), why: why.to_string() }
}

fn own_store_failed(domain: &Domain, error: &HostError) -> PeerError {
    PeerError::Unreachable { domain: domain.clone(), why: format!("this relay's own store failed: {error}") }
}
