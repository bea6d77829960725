//! Canaries under way: sent to find out whether messages would get through, and answered where they come from others.
//!
//! A canary is an item of the control lane like any other: stored, sent, acknowledged. The other relay puts its answer on
//! its own control lane back. So an answer proves both outboxes, both inboxes, and the link in both directions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthouse_federation::Clock;
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{CanaryItem, LaneClass};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis};
use tokio::sync::watch;

use crate::quota::{Buckets, Rate};
use crate::store::{CanaryOutcome, CanaryPlace, LaneId, LanePlace, Nonce, Store, StoreError};

/// How often one relay may have a canary answered: six a minute.
const RATE: Rate = Rate { burst: 6, refill_ms: 10_000 };
/// Relays whose canaries are counted.
const MAX_RELAYS: usize = 4096;
/// Own canaries that are remembered; the oldest is forgotten first.
const MAX_SENT: usize = 256;
/// How long one that still waits is waited for, milliseconds: a day. Later it may have expired on its lane.
const WORTH_WAITING_MS: u64 = 24 * 60 * 60 * 1000;
/// Length of a nonce, bytes.
const NONCE: usize = 16;

/// The canaries of a relay. Clones share them.
#[derive(Clone)]
pub struct Canaries {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    sent: Mutex<VecDeque<Sent>>,
    changes: watch::Sender<u64>,
    answered: Mutex<Buckets<Domain>>,
}

struct Sent {
    peer: Domain,
    nonce: Nonce,
    place: CanaryPlace,
    at: Millis,
    flight: Flight,
}

/// How far a canary has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flight {
    /// It waits in the outbox, since then.
    Waiting {
        /// When it was put there.
        since: Millis,
    },
    /// The other relay has stored it.
    Stored {
        /// How long that took, milliseconds.
        stored_ms: u64,
    },
    /// The other relay would not take it.
    Refused {
        /// Why.
        reason: ItemRefusal,
        /// In its words.
        detail: String,
    },
    /// The other relay's answer is here.
    Answered {
        /// How long both ways took, milliseconds.
        answered_ms: u64,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is a single step, so a holder that panicked leaves sound data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Canaries {
    /// No canaries yet, over a store.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        let inner = Inner {
            store,
            clock,
            sent: Mutex::default(),
            changes: watch::Sender::default(),
            answered: Mutex::new(Buckets::new(RATE, MAX_RELAYS)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sends a canary to a relay and waits for its answer, but no longer than `patience`; says how far it has come. While
    /// an earlier one still waits to be sent, that one is waited for.
    ///
    /// # Errors
    /// The store failed.
    pub async fn fly(&self, peer: &Domain, patience: Duration) -> Result<Flight, StoreError> {
        let mut changes = self.inner.changes.subscribe();
        let waiting = self.waiting(peer);
        let nonce = match waiting {
            Some(nonce) => nonce,
            None => self.send(peer).await?,
        };
        let landed = async {
            loop {
                match self.flight(&nonce) {
                    Some(Flight::Waiting { .. } | Flight::Stored { .. }) => {}
                    landed => return landed,
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        let landed = tokio::time::timeout(patience, landed).await.ok().flatten();
        Ok(landed.or_else(|| self.flight(&nonce)).unwrap_or(Flight::Waiting { since: (self.inner.clock)() }))
    }

    /// The destination of a lane has acknowledged everything below `next`.
    pub fn acknowledged(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        next: LaneSeq,
        refused: &[RefusedItem],
    ) {
        if lane.class != LaneClass::Control {
            return;
        }
        let now = (self.inner.clock)();
        for sent in lock(&self.inner.sent).iter_mut() {
            let here = sent.peer == lane.peer
                && sent.place.incarnation == incarnation
                && sent.place.seq < next
                && matches!(sent.flight, Flight::Waiting { .. });
            if here {
                let refusal = refused.iter().find(|item| item.seq == sent.place.seq);
                sent.flight = match refusal {
                    Some(item) => Flight::Refused { reason: item.reason, detail: item.detail.to_string() },
                    None => Flight::Stored { stored_ms: now.0.saturating_sub(sent.at.0) },
                };
            }
        }
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// Takes a canary off another relay's control lane: its answer goes on the lane back, and an answer to an own one is
    /// taken note of. A refusal is told to the relay that sent it.
    ///
    /// # Errors
    /// The store failed, and the item is to come again.
    pub async fn receive(
        &self,
        now: Millis,
        place: LanePlace,
        canary: CanaryItem,
    ) -> Result<Option<(ItemRefusal, String)>, StoreError> {
        let origin = place.lane.origin.clone();
        if canary.answer {
            self.inner.store.pass_item(now, place, None).await?;
            self.answered(&origin, &canary.nonce);
            return Ok(None);
        }
        let turn = lock(&self.inner.answered).take(origin.clone(), now);
        let why = match turn {
            Ok(()) => match self.inner.store.answer_canary(now, place.clone(), canary.nonce).await? {
                CanaryOutcome::Answered => return Ok(None),
                CanaryOutcome::Crowded => "too much waits for you on the lane back".to_owned(),
            },
            Err(ms) => format!("too many canaries; send the next one in {} s", ms.div_ceil(1000)),
        };
        let refused = RefusedItem { seq: place.seq, reason: ItemRefusal::Quota, detail: Text::clipped(&why) };
        self.inner.store.pass_item(now, place, Some(refused)).await?;
        Ok(Some((ItemRefusal::Quota, why)))
    }

    async fn send(&self, peer: &Domain) -> Result<Nonce, StoreError> {
        let nonce = Nonce::new(rand::random::<[u8; NONCE]>().to_vec())
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        let at = (self.inner.clock)();
        let place = self.inner.store.send_canary(at, peer, nonce.clone()).await?;
        let mut sent = lock(&self.inner.sent);
        if sent.len() >= MAX_SENT {
            sent.pop_front();
        }
        let flight = Flight::Waiting { since: at };
        sent.push_back(Sent { peer: peer.clone(), nonce: nonce.clone(), place, at, flight });
        Ok(nonce)
    }

    fn waiting(&self, peer: &Domain) -> Option<Nonce> {
        let now = (self.inner.clock)();
        let sent = lock(&self.inner.sent);
        let here = |sent: &&Sent| {
            sent.peer == *peer
                && matches!(sent.flight, Flight::Waiting { .. })
                && now < sent.at.after(WORTH_WAITING_MS)
        };
        sent.iter().find(here).map(|sent| sent.nonce.clone())
    }

    fn flight(&self, nonce: &Nonce) -> Option<Flight> {
        lock(&self.inner.sent).iter().find(|sent| sent.nonce == *nonce).map(|sent| sent.flight.clone())
    }

    fn answered(&self, origin: &Domain, nonce: &Nonce) {
        let now = (self.inner.clock)();
        let mut sent = lock(&self.inner.sent);
        let Some(sent) = sent.iter_mut().find(|sent| sent.peer == *origin && sent.nonce == *nonce) else {
            tracing::debug!(%origin, "an answer to a canary that is not remembered");
            return;
        };
        sent.flight = Flight::Answered { answered_ms: now.0.saturating_sub(sent.at.0) };
        self.inner.changes.send_modify(|count| *count += 1);
    }
}
