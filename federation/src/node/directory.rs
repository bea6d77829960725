//! Which manifest a domain has: this relay's own, the pinned one, or what discovery finds.
//!
//! A manifest is pinned for the first time only through discovery (the operator's overrides file, or HTTPS under the
//! domain's name), never because a peer shows one; after that it is followed along its chain, whoever brings the next
//! link. What must be fetched for that is in [`chain`](super::chain), what contradicts in [`evidence`](super::evidence).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use posthouse_crypto::manifest::{ManifestFault, follow};
use posthouse_crypto::{Verified, manifest_hash};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, ManifestSeq, Signed};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failures::{Failures, LookedUp};
use super::own::Own;
use crate::discovery::Discovery;
use crate::error::PeerError;
use crate::host::{Host, HostError};
use crate::link::Violation;

/// Look-ups at once that strangers cause.
const MAX_STRANGERS: usize = 8;
/// How long a stranger waits for its turn.
const STRANGER_PATIENCE: Duration = Duration::from_secs(4);

/// Called with each manifest that is pinned anew.
type WhenPinned = Box<dyn Fn(&Verified<Manifest>) + Send + Sync>;

/// Finds and pins manifests.
pub(crate) struct Directory {
    pub(super) own: Arc<Own>,
    pub(super) host: Arc<dyn Host>,
    pub(super) discovery: Discovery,
    /// Held from reading a pin to replacing it, so that no older manifest overwrites a newer one.
    pub(super) pinning: tokio::sync::Mutex<()>,
    /// Turns for look-ups that strangers cause by their hello: fewer than there are look-ups at once, so that they never
    /// keep this relay's own users waiting.
    strangers: Semaphore,
    /// Look-ups of that kind that failed just now.
    pub(super) failures: Failures,
    when_pinned: OnceLock<WhenPinned>,
}

/// Why a manifest was not taken.
#[derive(Debug)]
pub(super) enum NotAdopted {
    /// It does not follow what is pinned.
    Fault(ManifestFault),
    /// There is evidence against the domain: nothing newer is followed until its operator here has decided.
    Frozen(ManifestSeq),
    /// The links in between cannot be had.
    Links(PeerError),
    /// This relay's store failed.
    Host(HostError),
}

impl From<HostError> for NotAdopted {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Directory {
    pub(crate) fn new(own: Arc<Own>, host: Arc<dyn Host>, discovery: Discovery) -> Self {
        Self {
            own,
            host,
            discovery,
            pinning: tokio::sync::Mutex::default(),
            strangers: Semaphore::new(MAX_STRANGERS),
            failures: Failures::default(),
            when_pinned: OnceLock::new(),
        }
    }

    /// Calls `then` with each manifest that is pinned from now on. It may be said once.
    pub(crate) fn when_pinned(&self, then: impl Fn(&Verified<Manifest>) + Send + Sync + 'static) {
        if self.when_pinned.set(Box::new(then)).is_err() {
            tracing::error!("somebody listens for pinned manifests already");
        }
    }

    pub(super) fn tell_pinned(&self, manifest: &Verified<Manifest>) {
        if let Some(then) = self.when_pinned.get() {
            then(manifest);
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
        let found = self.discovery.find(domain).await.map_err(|fault| not_found(domain, &fault))?;
        self.adopt(domain, &found.manifest).await.map_err(|not| not.into_error(domain))
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
        let known =
            self.host.pinned(domain).await.map_err(|error| NotAdopted::Host(error).into_violation())?;
        let first = known.is_none();
        if !first {
            match self.adopt_directly(domain, shown).await {
                Err(NotAdopted::Fault(fault)) if may_be_bridged(&fault) => {}
                decided => return decided.map_err(NotAdopted::into_violation),
            }
        }
        let looked_up = (domain.clone(), (!first).then(|| manifest_hash(shown)));
        let _turn = self.stranger(&looked_up).await?;
        let found = match first {
            true => self.discover(domain).await.map(drop),
            false => Ok(()),
        };
        let unknown = |error: PeerError| {
            self.failures.note(&looked_up, self.own.now(), &error);
            Violation::new(PeerRule::UnknownDomain, error)
        };
        found.map_err(unknown)?;
        self.adopt(domain, shown).await.map_err(|not| {
            let violation = not.into_violation();
            self.failures.note(&looked_up, self.own.now(), &violation);
            violation
        })
    }

    /// A turn for a look-up on somebody else's word. One that failed a moment ago is not done again.
    async fn stranger(&self, what: &LookedUp) -> Result<SemaphorePermit<'_>, Violation> {
        let turn = tokio::time::timeout(STRANGER_PATIENCE, self.strangers.acquire()).await;
        let busy =
            || Violation::new(PeerRule::Unavailable, "too many unknown relays call at once: try again");
        let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        match self.failures.recent(what, self.own.now()) {
            Some(why) => Err(Violation::new(
                PeerRule::UnknownDomain,
                format!("it was looked up a moment ago, try again later: {why}"),
            )),
            None => Ok(turn),
        }
    }

    /// A turn for a look-up on somebody else's word, if there is one at once.
    pub(super) fn stranger_now(&self, what: &LookedUp) -> Option<SemaphorePermit<'_>> {
        let turn = self.strangers.try_acquire().ok()?;
        self.failures.recent(what, self.own.now()).is_none().then_some(turn)
    }

    /// Pins a manifest that follows the pinned one, by itself or over links that are fetched.
    pub(super) async fn adopt(
        &self,
        domain: &Domain,
        new: &Signed<Manifest>,
    ) -> Result<Verified<Manifest>, NotAdopted> {
        match self.adopt_directly(domain, new).await {
            Err(NotAdopted::Fault(fault)) if may_be_bridged(&fault) => {
                self.bridge(domain, new, fault).await?;
                self.adopt_directly(domain, new).await
            }
            decided => decided,
        }
    }

    /// Pins a manifest that follows the pinned one by itself.
    pub(super) async fn adopt_directly(
        &self,
        domain: &Domain,
        new: &Signed<Manifest>,
    ) -> Result<Verified<Manifest>, NotAdopted> {
        let _turn = self.pinning.lock().await;
        let pinned = self.host.pinned(domain).await?;
        let manifest = match (follow(domain, pinned.as_ref(), new), &pinned) {
            (Ok(manifest), _) => manifest,
            (Err(fault), Some(pinned)) => {
                return Err(self.look_for_evidence(domain, pinned, new, fault).await?);
            }
            (Err(fault), None) => return Err(NotAdopted::Fault(fault)),
        };
        if pinned.as_ref() != Some(new) {
            if let Some(seq) = self.frozen(domain).await? {
                return Err(NotAdopted::Frozen(seq));
            }
            self.host.pin(domain, new).await?;
            tracing::info!(%domain, seq = %manifest.seq, "pinned a manifest");
            self.tell_pinned(&manifest);
        }
        Ok(manifest)
    }
}

/// Whether the links from the pinned one on may explain why a manifest does not follow: the root was changed more than once
/// in between, or the chain has another manifest in the place of the pinned one.
pub(super) fn may_be_bridged(fault: &ManifestFault) -> bool {
    matches!(fault, ManifestFault::Root | ManifestFault::Previous)
}

impl NotAdopted {
    pub(super) fn into_violation(self) -> Violation {
        match self {
            Self::Fault(fault) => name_fault(fault),
            Self::Frozen(_) => Violation::new(PeerRule::Equivocation, self.words()),
            Self::Links(_) => Violation::new(PeerRule::ManifestChain, self.words()),
            Self::Host(_) => Violation::new(PeerRule::Unavailable, self.words()),
        }
    }

    pub(super) fn into_error(self, domain: &Domain) -> PeerError {
        match self {
            Self::Fault(fault) => unknown(domain, &fault),
            Self::Links(error) => error,
            Self::Host(error) => own_store_failed(domain, &error),
            Self::Frozen(_) => unknown(domain, &self.words()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Fault(fault) => fault.to_string(),
            Self::Frozen(seq) => format!(
                "two manifests of it have position {seq}; nothing newer is followed until this relay's operator has \
                 asked which one is right, and pinned it again"
            ),
            Self::Links(error) => format!("the links of its chain cannot be had: {error}"),
            Self::Host(error) => format!("this relay's store failed: {error}"),
        }
    }
}

fn name_fault(fault: ManifestFault) -> Violation {
    let rule = match fault {
        ManifestFault::Signature(_) => PeerRule::ManifestSignature,
        ManifestFault::Equivocation(_) => PeerRule::Equivocation,
        _ => PeerRule::ManifestChain,
    };
    Violation::new(rule, fault)
}

pub(super) fn not_found(domain: &Domain, fault: &crate::discovery::DiscoveryError) -> PeerError {
    match fault.is_temporary() {
        true => PeerError::Unreachable { domain: domain.clone(), why: fault.to_string() },
        false => unknown(domain, fault),
    }
}

pub(super) fn unknown(domain: &Domain, why: &dyn std::fmt::Display) -> PeerError {
    PeerError::Unknown { domain: domain.clone(), why: why.to_string() }
}

pub(super) fn own_store_failed(domain: &Domain, error: &HostError) -> PeerError {
    PeerError::Unreachable { domain: domain.clone(), why: format!("this relay's own store failed: {error}") }
}
