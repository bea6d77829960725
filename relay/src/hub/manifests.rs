//! A hub's ordering key, by the manifest of the relay that the room's members agreed on.

use posthouse_crypto::room::check_decided;
use posthouse_crypto::{Verified, lineage};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{Decided, Decision, RelayRef};
use posthouse_spec::{Epoch, ManifestSeq, PublicKey, RoomId};

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

impl Rooms {
    /// This relay's own place in its chain of manifests, which its decisions name.
    pub(super) async fn own_manifest(&self) -> Result<(ManifestSeq, RelayRef), LinkError> {
        let manifest = self.inner.manifests.manifest(&self.inner.own).await?;
        let domain = self.inner.own.clone();
        Ok((manifest.seq, RelayRef { domain, lineage: lineage(&manifest) }))
    }

    /// Checks a decision by the ordering key of the leader that the room has agreed on: the one of its newest manifest,
    /// or the one of the manifest that the decision names, if that lies on the leader's chain.
    pub(super) async fn check_decision(
        &self,
        room: RoomId,
        leader: &RelayRef,
        decided: &Decided,
    ) -> Result<Decision, DecisionFault> {
        let newest = self.inner.manifests.manifest(&leader.domain).await?;
        let named = decided.decision.peek().map_err(|e| DecisionFault::Invalid(e.to_string()))?.manifest;
        let decision = match check_decided(decided, &ordering(leader, &newest)?) {
            Err(_) if named != newest.seq => {
                // The hub has replaced its key before or since.
                let at = self.inner.manifests.manifest_at(&leader.domain, named).await?;
                let none = || {
                    DecisionFault::Invalid(format!(
                        "it names manifest {named}, which is not on the hub's chain"
                    ))
                };
                check_decided(decided, &ordering(leader, &at.ok_or_else(none)?)?)
            }
            checked => checked,
        };
        let decision = decision.map_err(|error| DecisionFault::Invalid(error.to_string()))?;
        if decision.room != room {
            return Err(DecisionFault::Invalid("the decision is for another room".into()));
        }
        Ok(decision.into_inner())
    }

    /// Checks that a decision which moves a room on does not go back behind the manifest of the one before it: once a
    /// room has seen its hub's new key, the old one moves nothing there.
    pub(super) async fn check_order(&self, decision: &Decision) -> Result<(), DecisionFault> {
        let Some(before) = decision.epoch.0.checked_sub(1) else { return Ok(()) };
        let logged = self.inner.store.decided(decision.room, Epoch(before)).await;
        let logged = logged.map_err(|error| DecisionFault::Later(error.to_string()))?;
        let last = logged.and_then(|logged| logged.decided.decision.peek().ok()).map(|last| last.manifest);
        match last.filter(|last| *last > decision.manifest) {
            Some(last) => Err(DecisionFault::Invalid(format!(
                "it names manifest {}, and the decision before it named {last}: a hub does not go back to an earlier key",
                decision.manifest
            ))),
            None => Ok(()),
        }
    }
}

/// The ordering key in a manifest of the leader's.
fn ordering(leader: &RelayRef, manifest: &Verified<Manifest>) -> Result<PublicKey, DecisionFault> {
    if lineage(manifest) == leader.lineage {
        return Ok(manifest.ordering);
    }
    Err(DecisionFault::Invalid(format!(
        "the relay that is now at {} is not the one that the room's members agreed on",
        leader.domain
    )))
}
