//! What everything that a client does works on: the vault, the relay, and who we are.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use posthouse_spec::{AccountId, RoomId};
use tokio::sync::{Mutex, Notify};

use crate::connection::Relay;
use crate::vault::Vault;
use crate::vault::owner::Owner;

/// An open vault with its relay.
pub(crate) struct Context {
    /// The vault.
    pub(crate) vault: Vault,
    /// The own relay.
    pub(crate) relay: Relay,
    /// The account and device.
    pub(crate) owner: Owner,
    /// Wakes a sync that is running.
    pub(crate) signals: Signals,
    /// Whom rooms are being founded with: two aliases of one account do not found two.
    pub(crate) founders: Turns<AccountId>,
    /// Rooms that are being changed.
    pub(crate) changing: Turns<RoomId>,
    /// Held by the sync that is running.
    pub(crate) syncing: Mutex<()>,
}

/// What is worked on, so that nothing is worked on twice at once.
pub(crate) struct Turns<K>(std::sync::Mutex<BTreeSet<K>>);

/// The right to work on one thing, given back when it is dropped.
pub(crate) struct Turn<'a, K: Ord + Copy> {
    turns: &'a Turns<K>,
    on: K,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(std::sync::Mutex::default())
    }
}

impl<K: Ord + Copy> Turns<K> {
    /// Takes the right, if nobody has it.
    pub(crate) fn enter(&self, on: K) -> Option<Turn<'_, K>> {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(on).then_some(Turn { turns: self, on })
    }
}

impl<K: Ord + Copy> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.on);
    }
}

/// How what a person does reaches a sync that is running.
#[derive(Default)]
pub(crate) struct Signals {
    /// Something can be submitted, or work was finished: the connection looks again.
    pub(crate) connection: Notify,
    work: Notify,
    wanted: AtomicU64,
    done: AtomicU64,
}

impl Signals {
    /// There is work that needs questions to the relay.
    pub(crate) fn want_work(&self) {
        self.wanted.fetch_add(1, Ordering::SeqCst);
        self.work.notify_one();
    }

    /// Waits until there is.
    pub(crate) async fn work_wanted(&self) {
        self.work.notified().await;
    }

    /// What a pass over the work has seen of the wishes when it begins.
    pub(crate) fn begin_pass(&self) -> u64 {
        self.wanted.load(Ordering::SeqCst)
    }

    /// A pass that began at `seen` is over.
    pub(crate) fn end_pass(&self, seen: u64) {
        self.done.store(seen, Ordering::SeqCst);
        self.connection.notify_one();
    }

    /// Whether every wish was seen by a pass that is over.
    pub(crate) fn is_quiet(&self) -> bool {
        self.done.load(Ordering::SeqCst) == self.wanted.load(Ordering::SeqCst)
    }
}
