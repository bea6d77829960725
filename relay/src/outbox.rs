//! What the federation asks of this relay: its outbox and inbox, its answers, and its pinned manifests, over the store,
//! the rooms and the accounts.

use std::sync::Arc;

use async_trait::async_trait;
use posthouse_federation::Clock;
use posthouse_spec::Domain;
use posthouse_spec::peer::{KeysRequest, KeysResponse};

use crate::hub::Rooms;
use crate::store::Store;

/// Answers other relays' questions about accounts and key packages.
#[async_trait]
pub trait KeysService: Send + Sync {
    /// Answers one question.
    async fn keys(&self, from: &Domain, request: KeysRequest) -> KeysResponse;
}

/// This relay, as the federation sees it.
pub struct RelayHost {
    store: Store,
    rooms: Rooms,
    keys: Arc<dyn KeysService>,
    clock: Clock,
}

impl RelayHost {
    /// Puts the host together.
    #[must_use]
    pub fn new(store: Store, rooms: Rooms, keys: Arc<dyn KeysService>, clock: Clock) -> Self {
        Self { store, rooms, keys, clock }
    }
}

/// The federation's name of a lane.
impl From<crate::store::LaneId> for posthouse_federation::LaneId {
    fn from(lane: crate::store::LaneId) -> Self {
        Self { peer: lane.peer, class: lane.class }
    }
}
