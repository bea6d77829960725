//! What the rooms are asked and what they answer, and what they need of others.

use async_trait::async_trait;
use posthouse_crypto::Verified;
use posthouse_crypto::room::RoomError;
use posthouse_spec::client::Refusal;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::room::{Decided, RoomKind, Suite};
use posthouse_spec::{Domain, Epoch, ManifestSeq, RoomId};

use crate::store::{RoomRow, StoreError};

/// A room as this relay sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// The room.
    pub room: RoomId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its hub.
    pub hub: Domain,
    /// Its suite.
    pub suite: Suite,
    /// What it is for.
    pub kind: RoomKind,
}

impl RoomInfo {
    pub(super) fn of(room: RoomId, row: RoomRow) -> Self {
        Self { room, epoch: row.epoch, hub: row.hub, suite: row.suite, kind: row.context.kind }
    }
}

/// Why a room's founding or change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct RoomRefused {
    /// Why.
    pub reason: Refusal,
    /// In words, with what to do.
    pub detail: String,
    /// For a stale epoch: what was decided instead. This relay has applied it.
    pub decided: Option<Box<Decided>>,
}

impl RoomRefused {
    pub(super) fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), decided: None }
    }

    pub(super) fn with(self, decided: Option<Decided>) -> Self {
        Self { decided: decided.map(Box::new), ..self }
    }
}

impl From<StoreError> for RoomRefused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed a room");
        Self::new(
            Refusal::Internal,
            "the relay could not store anything just now, and nothing was changed: try again later",
        )
    }
}

impl From<RoomError> for RoomRefused {
    fn from(error: RoomError) -> Self {
        let reason = match &error {
            RoomError::Policy(_) => Refusal::Policy,
            RoomError::WrongEpoch { .. } => Refusal::StaleEpoch,
            RoomError::TooLarge { .. } => Refusal::TooLarge,
            RoomError::BadState(_) => Refusal::Internal,
            _ => Refusal::InvalidCommit,
        };
        Self::new(reason, error.to_string())
    }
}

/// Another relay could not be asked, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

/// Where the rooms find the manifest of a relay: the own one, or one that is pinned or discovered.
#[async_trait]
pub trait ManifestLookup: Send + Sync {
    /// The newest manifest of a relay.
    async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, LinkError>;

    /// The manifest that stood at a position of a relay's chain; none where the relay cannot show that it had one.
    async fn manifest_at(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Verified<Manifest>>, LinkError>;
}

/// How the rooms ask another relay's hub.
#[async_trait]
pub trait HubLink: Send + Sync {
    /// Asks one thing.
    async fn room(&self, hub: &Domain, request: RoomRequest) -> Result<RoomResponse, LinkError>;
}
