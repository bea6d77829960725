//! A hub's ordering key, by the manifest of the relay that the room's members agreed on.

use posthouse_crypto::lineage;
use posthouse_crypto::room::check_decided;
use posthouse_spec::room::{Decided, Decision, RelayRef};
use posthouse_spec::{Domain, ManifestSeq, PublicKey, RoomId};

use super::handle::Rooms;
use super::types::LinkError;

/// Why a decision is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecisionFault {
    /// It cannot be checked now; later it may be.
    #[error("it cannot be checked now: {0}")]
    Later(String),
    /// It does not hold.
    #[error("{0}")]
    Invalid(String),
}

impl From<LinkError> for DecisionFault {
    fn from(error: LinkError) -> Self {
        Self::Later(error.0)
    }
}

struct HubKey {
    ordering: PublicKey,
    manifest: ManifestSeq,
}

impl Rooms {
    /// This relay's own place in its chain of manifests, which its decisions name.
    pub(super) async fn own_manifest(&self) -> Result<(ManifestSeq, RelayRef), LinkError> {
        let manifest = self.inner.manifests.manifest(&self.inner.own).await?;
        let domain = self.inner.own.clone();
        Ok((manifest.seq, RelayRef { domain, lineage: lineage(&manifest) }))
    }

    /// Checks a decision by the ordering key of the leader that the room has agreed on.
    pub(super) async fn check_decision(
        &self,
        room: RoomId,
        leader: &RelayRef,
        decided: &Decided,
    ) -> Result<Decision, DecisionFault> {
        let key = self.hub_key(&leader.domain, leader).await?;
        let named = decided.decision.peek().map_err(|e| DecisionFault::Invalid(e.to_string()))?;
        let decision = check_decided(decided, &key.ordering).map_err(|error| {
            if named.manifest > key.manifest {
                // The hub has a newer manifest than the one that is known here, maybe with another key.
                DecisionFault::Later(format!(
                    "it names manifest {}, and {} is known here",
                    named.manifest, key.manifest
                ))
            } else {
                DecisionFault::Invalid(error.to_string())
            }
        })?;
        if decision.room != room {
            return Err(DecisionFault::Invalid("the decision is for another room".into()));
        }
        Ok(decision.into_inner())
    }

    async fn hub_key(&self, hub: &Domain, leader: &RelayRef) -> Result<HubKey, DecisionFault> {
        let manifest = self.inner.manifests.manifest(hub).await?;
        if lineage(&manifest) != leader.lineage {
            let why =
                format!("the relay that is now at {hub} is not the one that the room's members agreed on");
            return Err(DecisionFault::Invalid(why));
        }
        Ok(HubKey { ordering: manifest.ordering, manifest: manifest.seq })
    }
}
