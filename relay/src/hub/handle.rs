//! The rooms' handle.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use posthouse_spec::{DeviceId, Domain, Millis, RoomId};
use tokio_util::sync::CancellationToken;

use super::observers::Observers;
use super::types::{HubLink, ManifestLookup, RoomInfo};
use crate::keys::OrderingKey;
use crate::mailbox::MailboxKey;
use crate::quota::{Buckets, Rate};
use crate::store::{Store, StoreError};

/// How often one device may ask for commits in one room.
const COMMIT_RATE: Rate = Rate { burst: 30, refill_ms: 1_000 };
/// Devices in rooms whose rates are remembered.
const MAX_BUCKETS: usize = 16_384;
/// How often rooms that fell behind are looked for.
const CATCH_UP_INTERVAL: Duration = Duration::from_secs(10);
/// How long a room may be behind before its hub is asked, milliseconds: mostly the hub's own lane is just a little
/// slower than another relay's, and brings Welcomes with the decisions.
const CATCH_UP_AFTER_MS: u64 = 5_000;
/// Rooms that are caught up in one round.
const CATCH_UP_ROOMS: u32 = 256;

/// The rooms of this relay. Clones share them.
#[derive(Clone)]
pub struct Rooms {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) own: Domain,
    pub(super) ordering: OrderingKey,
    pub(super) manifests: Arc<dyn ManifestLookup>,
    pub(super) link: OnceLock<Arc<dyn HubLink>>,
    pub(super) observers: Observers,
    pub(super) commits: Mutex<Buckets<(DeviceId, RoomId)>>,
}

impl Rooms {
    /// The rooms of the relay of `domain`, whose ordering key is `ordering`.
    #[must_use]
    pub fn new(
        store: Store,
        domain: Domain,
        ordering: impl Into<OrderingKey>,
        manifests: Arc<dyn ManifestLookup>,
    ) -> Self {
        let inner = Inner {
            store,
            own: domain,
            ordering: ordering.into(),
            manifests,
            link: OnceLock::new(),
            observers: Observers::default(),
            commits: Mutex::new(Buckets::new(COMMIT_RATE, MAX_BUCKETS)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Gives the rooms their way to other relays, once there is one. Until then every other hub is out of reach.
    pub fn connect(&self, link: Arc<dyn HubLink>) {
        if self.inner.link.set(link).is_err() {
            tracing::debug!("the rooms had their way to other relays already");
        }
    }

    /// Keeps rooms that fell behind caught up, until told to stop. The server runs it as one of its tasks, with its clock.
    pub async fn run(&self, clock: impl Fn() -> Millis + Send + Sync, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(CATCH_UP_INTERVAL);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(rounds.tick()).await.is_some() {
            if stop.run_until_cancelled(self.round(clock())).await.is_none() {
                return;
            }
        }
    }

    async fn round(&self, now: Millis) {
        let since = Millis(now.0.saturating_sub(CATCH_UP_AFTER_MS));
        match self.inner.store.rooms_behind(since, CATCH_UP_ROOMS).await {
            Ok(rooms) => {
                for room in rooms {
                    self.catch_up(now, room).await;
                }
            }
            Err(error) => tracing::error!(%error, "cannot look for rooms that are behind"),
        }
    }

    /// A room that this relay takes part in.
    ///
    /// # Errors
    /// The store failed.
    pub async fn room(&self, room: RoomId) -> Result<Option<RoomInfo>, StoreError> {
        let row = self.inner.store.room(room).await?;
        Ok(row.filter(|row| row.active).map(|row| RoomInfo::of(room, row)))
    }

    /// A room, if this local device is in it: for showing it to its members alone.
    ///
    /// # Errors
    /// The store failed.
    pub async fn room_for(&self, who: MailboxKey, room: RoomId) -> Result<Option<RoomInfo>, StoreError> {
        let Some(info) = self.room(room).await? else { return Ok(None) };
        let roster = self.inner.store.roster(room, info.epoch).await?;
        Ok(roster.has(&who, &self.inner.own).then_some(info))
    }
}
