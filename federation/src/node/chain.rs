//! The links of a domain's chain that are not known here: forward, where the root has changed more than once since the
//! pinned manifest; and back, for what was signed under a manifest that came before it.
//!
//! Links are fetched as the newest manifest is, one by one, and never more than so many in one look-up; each is checked
//! before the next is asked for. What was followed stays, so that a later look-up goes on from there.

use posthouse_crypto::Verified;
use posthouse_crypto::manifest::{ManifestFault, follow, precedes};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, ManifestSeq, Signed};

use super::directory::{Directory, NotAdopted, not_found, own_store_failed, unknown};
use super::handle::Federation;
use crate::error::PeerError;

/// Links that one look-up fetches.
const MAX_LINKS: u64 = 64;

impl Federation {
    /// The manifest that stood at a position of a relay's chain, for what was signed under it. That of an earlier
    /// position is fetched where it is not kept, and proven to lie before a pinned one. Not for the relay itself, whose
    /// chain lies in its data folder.
    ///
    /// # Errors
    /// The relay is unknown, or has no such manifest; or that cannot be found out now.
    pub async fn manifest_at(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Verified<Manifest>, PeerError> {
        self.directory.manifest_at(domain, seq).await
    }
}

impl Directory {
    /// Pins the links between the pinned manifest and `new`, which does not follow it directly for the reason of `fault`.
    pub(super) async fn bridge(
        &self,
        domain: &Domain,
        new: &Signed<Manifest>,
        fault: ManifestFault,
    ) -> Result<(), NotAdopted> {
        let newest = follow(domain, None, new).map_err(NotAdopted::Fault)?;
        let pinned = self.host.pinned(domain).await?.ok_or(NotAdopted::Fault(fault.clone()))?;
        let from = follow(domain, None, &pinned).map_err(NotAdopted::Fault)?.seq;
        if newest.seq <= from {
            return Err(NotAdopted::Fault(fault));
        }
        // The pinned position first: a chain that says something else there is another one.
        for seq in (from.0..newest.seq.0).take(MAX_LINKS as usize).map(ManifestSeq) {
            let link = self.link(domain, seq).await.map_err(NotAdopted::Links)?;
            match self.adopt_directly(domain, &link).await {
                // Somebody else has brought it meanwhile.
                Ok(_) | Err(NotAdopted::Fault(ManifestFault::RolledBack { .. })) => {}
                Err(not) => return Err(not),
            }
        }
        Ok(())
    }

    /// The manifest that stood at a position of a domain's chain: the own one, a kept one, or one that is fetched and
    /// proven, by the hashes in the links between, to lie before a kept one.
    pub(crate) async fn manifest_at(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Verified<Manifest>, PeerError> {
        let mut newest = self.manifest(domain).await?;
        if newest.seq < seq && *domain != self.own.domain {
            newest = self.discover(domain).await?;
        }
        if newest.seq < seq {
            let why = format!("its newest manifest known here is {}, and not yet {seq}", newest.seq);
            return Err(PeerError::Unreachable { domain: domain.clone(), why });
        }
        if newest.seq == seq {
            return Ok(newest);
        }
        if seq == ManifestSeq(0) {
            return Err(unknown(domain, &"a chain of manifests begins at position 1"));
        }
        let kept = self.host.pinned_from(domain, seq).await.map_err(|e| own_store_failed(domain, &e))?;
        let kept = kept.map(|kept| follow(domain, None, &kept)).transpose();
        let mut at = kept.map_err(|fault| unknown(domain, &fault))?.unwrap_or(newest);
        for _ in 0..MAX_LINKS {
            if at.seq <= seq {
                return Ok(at);
            }
            let link = self.link(domain, ManifestSeq(at.seq.0 - 1)).await?;
            at = precedes(domain, &at, &link).map_err(|fault| unknown(domain, &fault))?;
            self.host.keep_link(domain, &link).await.map_err(|e| own_store_failed(domain, &e))?;
        }
        let why = format!("manifest {seq} lies too far back for one look-up; try again");
        Err(PeerError::Unreachable { domain: domain.clone(), why })
    }

    async fn link(&self, domain: &Domain, seq: ManifestSeq) -> Result<Signed<Manifest>, PeerError> {
        if *domain == self.own.domain {
            return Err(unknown(domain, &"the relay's own chain lies in its data folder"));
        }
        self.discovery.link(domain, seq).await.map_err(|fault| not_found(domain, &fault))
    }
}
