//! Two manifests of one position: kept, named in the log, and a halt for the domain's chain until the operator has
//! decided; and the operator's decision.

use posthouse_crypto::manifest::{ManifestFault, contradict, follow};
use posthouse_crypto::{Verified, lineage};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, ManifestSeq, Signed};

use super::directory::{Directory, NotAdopted, not_found, own_store_failed, unknown};
use super::handle::Federation;
use crate::error::PeerError;
use crate::host::{Evidence, HostError};

/// How far a relay is trusted here.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The manifest that is pinned, if any is.
    pub pinned: Option<Verified<Manifest>>,
    /// What speaks against the relay, the oldest first.
    pub evidence: Vec<Evidence>,
}

impl Trust {
    /// Whether the operator has still to decide; until then nothing newer than what is pinned is followed.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.evidence.iter().any(|evidence| !evidence.settled)
    }
}

/// A domain was looked up afresh, and pinned as if for the first time.
#[derive(Debug, Clone)]
pub struct Repinned {
    /// What was pinned before.
    pub before: Option<Verified<Manifest>>,
    /// What is pinned now.
    pub now: Verified<Manifest>,
}

impl Repinned {
    /// Whether the domain's chain is another one now: rooms that named the former relay as their hub do not follow it.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.before.as_ref().is_some_and(|before| lineage(before) != lineage(&self.now))
    }
}

impl Federation {
    /// What is pinned for a relay, and the evidence against it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn trust(&self, domain: &Domain) -> Result<Trust, PeerError> {
        self.directory.trust(domain).await
    }

    /// Looks a relay up afresh and pins what is found as if for the first time, at the operator's word.
    ///
    /// # Errors
    /// Nothing was found, or it does not hold. What was pinned stays then.
    pub async fn repin(&self, domain: &Domain) -> Result<Repinned, PeerError> {
        let repinned = self.directory.repin(domain).await?;
        // Sessions were made on the strength of what was pinned before.
        for connection in self.peers.connections_of(|with| with == domain) {
            self.requests.connector.network.close(connection).await;
        }
        self.peers.peer(domain).forgive();
        Ok(repinned)
    }
}

impl Directory {
    /// What is known of a domain and what speaks against it.
    pub(crate) async fn trust(&self, domain: &Domain) -> Result<Trust, PeerError> {
        let pinned = self.pinned(domain).await?;
        let evidence = self.host.evidence(domain).await.map_err(|e| own_store_failed(domain, &e))?;
        Ok(Trust { pinned, evidence })
    }

    /// Looks a domain up by override or HTTPS, and pins what is found in the place of all that was pinned.
    pub(crate) async fn repin(&self, domain: &Domain) -> Result<Repinned, PeerError> {
        if *domain == self.own.domain {
            return Err(unknown(domain, &"this is the relay itself"));
        }
        let found = self.discovery.find(domain).await.map_err(|fault| not_found(domain, &fault))?;
        let now = follow(domain, None, &found.manifest).map_err(|fault| unknown(domain, &fault))?;
        let _turn = self.pinning.lock().await;
        // What was pinned may be what is broken.
        let before = self.host.pinned(domain).await.map_err(|e| own_store_failed(domain, &e))?;
        let before = before.and_then(|before| follow(domain, None, &before).ok());
        self.host.repin(domain, &found.manifest).await.map_err(|e| own_store_failed(domain, &e))?;
        tracing::warn!(%domain, seq = %now.seq, lineage = %lineage(&now), "pinned anew, at the operator's word");
        self.tell_pinned(&now);
        Ok(Repinned { before, now })
    }

    /// The position for which there is evidence that the operator has not judged yet.
    pub(super) async fn frozen(&self, domain: &Domain) -> Result<Option<ManifestSeq>, HostError> {
        let all = self.host.evidence(domain).await?;
        let open = all.iter().find(|evidence| !evidence.settled);
        Ok(open.and_then(|evidence| evidence.pinned.peek().ok()).map(|manifest| manifest.seq))
    }

    /// The link behind the pin against which another manifest of its position is held: only where both have the root of
    /// today, since a thief of a root that was replaced since must not make evidence.
    async fn link_at(
        &self,
        domain: &Domain,
        pinned: &Signed<Manifest>,
        seq: ManifestSeq,
    ) -> Result<Option<Signed<Manifest>>, HostError> {
        let root = |signed: &Signed<Manifest>| signed.peek().map(|manifest| manifest.root).ok();
        let link = self.host.pinned_from(domain, seq).await?;
        Ok(link.filter(|link| root(link) == root(pinned)))
    }

    /// Keeps a manifest that was refused, if it contradicts the pinned one, or a link behind it. Returns why it is refused.
    pub(super) async fn look_for_evidence(
        &self,
        domain: &Domain,
        pinned: &Signed<Manifest>,
        other: &Signed<Manifest>,
        fault: ManifestFault,
    ) -> Result<NotAdopted, HostError> {
        let link = match fault {
            ManifestFault::RolledBack { found, .. } => self.link_at(domain, pinned, found).await?,
            _ => None,
        };
        let pinned = link.as_ref().unwrap_or(pinned);
        let Ok(seq) = pinned.peek().map(|manifest| manifest.seq) else { return Ok(NotAdopted::Fault(fault)) };
        let before = match fault {
            ManifestFault::Root => {
                self.host.pinned_from(domain, ManifestSeq(seq.0.saturating_sub(1))).await?
            }
            _ => None,
        };
        if !contradict(domain, before.as_ref(), pinned, other) {
            return Ok(NotAdopted::Fault(fault));
        }
        let (pinned, other) = (pinned.clone(), other.clone());
        let evidence = Evidence { pinned, other, found: self.own.now(), settled: false };
        if self.host.keep_evidence(domain, &evidence).await? {
            metrics::counter!("posthouse_manifest_evidence_total").increment(1);
            tracing::error!(
                rule = "equivocation", %domain, %seq,
                "two manifests of one position are signed for this relay: either its data folder was restored from a copy, \
                 or somebody else has its root key; both are kept, the pinned one stays in force, and nothing newer is \
                 followed until you have asked its operator and pinned the right one again"
            );
        }
        Ok(NotAdopted::Fault(ManifestFault::Equivocation(seq)))
    }
}
