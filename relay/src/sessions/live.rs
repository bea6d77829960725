//! The connected devices: who is there, how they are woken, and how many may come in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use posthouse_federation::Clock;
use posthouse_spec::Domain;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::mailbox::MailboxKey;
use crate::metrics::SOCKETS;
use crate::store::Store;

/// What every connection needs of the relay.
#[derive(Clone)]
pub struct Context {
    /// The relay's domain.
    pub domain: Domain,
    /// Where mailboxes are.
    pub store: Store,
    /// The relay's clock.
    pub clock: Clock,
    /// The other connections.
    pub sessions: Sessions,
}

/// The connected devices. Clones share them.
#[derive(Clone)]
pub struct Sessions(pub(super) Arc<Inner>);

pub(super) struct Inner {
    live: Mutex<HashMap<MailboxKey, Live>>,
    places: Arc<Semaphore>,
    next: AtomicU64,
    pub(super) stop: CancellationToken,
    tasks: TaskTracker,
}

struct Live {
    id: u64,
    wake: Arc<Notify>,
    superseded: CancellationToken,
}

/// A socket that was let in and has not said hello yet.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _task: TaskTrackerToken,
}

/// A device that is connected; dropping it takes the device out.
pub struct Entered {
    sessions: Sessions,
    who: MailboxKey,
    id: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) superseded: CancellationToken,
}

impl Sessions {
    /// Room for `max_connections` sockets, which all end when `stop` is cancelled; `tasks` waits for them.
    #[must_use]
    pub fn new(max_connections: u32, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            live: Mutex::default(),
            places: Arc::new(Semaphore::new(max_connections as usize)),
            next: AtomicU64::new(0),
            stop,
            tasks,
        }))
    }

    /// A place for one more socket, if there is one.
    #[must_use]
    pub fn admit(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _task: self.0.tasks.token() })
    }

    /// Something new waits in a mailbox. Never blocks.
    pub fn wake(&self, who: &MailboxKey) {
        if let Some(live) = self.live().get(who) {
            live.wake.notify_one();
        }
    }

    /// Whether a device is connected.
    #[must_use]
    pub fn is_online(&self, who: &MailboxKey) -> bool {
        self.live().contains_key(who)
    }

    /// Whether the relay is shutting down.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    pub(super) fn enter(&self, who: MailboxKey) -> Entered {
        let entered = Entered {
            sessions: self.clone(),
            who,
            id: self.0.next.fetch_add(1, Ordering::Relaxed),
            wake: Arc::default(),
            superseded: CancellationToken::new(),
        };
        let live =
            Live { id: entered.id, wake: Arc::clone(&entered.wake), superseded: entered.superseded.clone() };
        let mut all = self.live();
        if let Some(older) = all.insert(who, live) {
            older.superseded.cancel();
        }
        metrics::gauge!(SOCKETS).set(count(all.len()));
        entered
    }

    fn live(&self) -> MutexGuard<'_, HashMap<MailboxKey, Live>> {
        // Every change of the map is one call, so that a panic elsewhere leaves it whole.
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gauges are floating point; no relay has 2^32 sockets.
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.sessions.live();
        // A newer connection of the same device has taken the place over.
        if all.get(&self.who).is_some_and(|live| live.id == self.id) {
            all.remove(&self.who);
        }
        metrics::gauge!(SOCKETS).set(count(all.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthouse_spec::{AccountId, DeviceId};

    fn sessions() -> Sessions {
        Sessions::new(2, CancellationToken::new(), TaskTracker::new())
    }

    #[test]
    fn a_newer_connection_supersedes_the_older_and_outlives_it() {
        let sessions = sessions();
        let who = MailboxKey { account: AccountId::new([1; 32]), device: DeviceId::new([2; 32]) };
        let first = sessions.enter(who);
        let second = sessions.enter(who);
        assert!(first.superseded.is_cancelled() && !second.superseded.is_cancelled());
        drop(first);
        assert!(sessions.is_online(&who));
        drop(second);
        assert!(!sessions.is_online(&who));
    }

    #[test]
    fn there_are_only_so_many_places() {
        let sessions = sessions();
        let places = [sessions.admit(), sessions.admit()];
        assert!(places.iter().all(Option::is_some));
        assert!(sessions.admit().is_none());
        drop(places);
        assert!(sessions.admit().is_some());
    }
}
