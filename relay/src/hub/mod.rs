//! The rooms of this relay at work: it decides commits where it is the hub, follows the hub where another relay is, and
//! keeps the observer of every room in step with the store.

use std::sync::Arc;

use async_trait::async_trait;
use posthouse_crypto::{SigningKey, Verified};
use posthouse_spec::client::Refusal;
use posthouse_spec::envelope::Item;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::room::{CommitUpload, Decided, RoomKind, Suite};
use posthouse_spec::{Domain, Epoch, Millis, RoomId};
use tokio_util::sync::CancellationToken;

use crate::mailbox::MailboxKey;
use crate::store::{Store, StoreError};

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

/// Why a room's founding or change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct RoomRefused {
    /// Why.
    pub reason: Refusal,
    /// In words, with what to do.
    pub detail: String,
    /// For a stale epoch: what was decided instead. This relay has applied it.
    pub decided: Option<Decided>,
}

/// Another relay could not be asked, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

/// Where the rooms find the manifest of a relay: their own, pinned or discovered.
#[async_trait]
pub trait ManifestLookup: Send + Sync {
    /// The newest manifest of a relay.
    async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, LinkError>;
}

/// How the rooms ask another relay's hub.
#[async_trait]
pub trait HubLink: Send + Sync {
    /// Asks one thing.
    async fn room(&self, hub: &Domain, request: RoomRequest) -> Result<RoomResponse, LinkError>;
}

/// The rooms of this relay. Clones share them.
#[derive(Clone)]
pub struct Rooms {}

impl Rooms {
    /// The rooms of the relay of `domain`, whose ordering key is `ordering`.
    #[must_use]
    pub fn new(store: Store, domain: Domain, ordering: Arc<SigningKey>, manifests: Arc<dyn ManifestLookup>) -> Self { todo!() }
    /// Gives the rooms their way to other relays, once there is one. Until then every other hub is unreachable.
    pub fn connect(&self, link: Arc<dyn HubLink>) {}
    /// Keeps rooms that fell behind caught up, until told to stop. The server runs it as one of its tasks, with the
    /// clock that it was given.
    pub async fn run(&self, clock: impl Fn() -> Millis + Send + Sync, stop: CancellationToken) {}
    /// A room that this relay takes part in.
    pub async fn room(&self, room: RoomId) -> Result<Option<RoomInfo>, StoreError> { todo!() }
    /// Founds a room; this relay becomes its hub. Sent again, it gives the same answer.
    pub async fn found(&self, now: Millis, who: MailboxKey, room: RoomId, group_info: &[u8]) -> Result<RoomInfo, RoomRefused> { todo!() }
    /// Has a commit of a local device decided: here if this relay is the hub, else by the hub. It is applied here
    /// before this returns.
    pub async fn commit(&self, now: Millis, who: MailboxKey, upload: CommitUpload) -> Result<Decided, RoomRefused> { todo!() }
    /// Answers another relay.
    pub async fn answer(&self, now: Millis, from: &Domain, request: RoomRequest) -> RoomResponse { todo!() }
}
