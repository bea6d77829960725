//! The origin's side: leaves what waits for a relay that is down with the relays that hold for it.
//!
//! The outbox keeps everything until the destination acknowledges it; what was left with whom is remembered durably beside
//! it, so that nothing is left twice needlessly. A crash between the two leaves a bag twice, and the destination's cursor
//! drops the second. What is new since a start is left in a life of the lane in which the two ends have met since, or in
//! another one: who was restored from a copy finds it out from the destination alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use posthouse_crypto::seal_mailbag;
use posthouse_federation::host::OutboundItem;
use posthouse_federation::{Clock, Federation, PeerError};
use posthouse_spec::envelope::{Envelope, LaneClass};
use posthouse_spec::limits::MAX_ENVELOPE_ITEMS;
use posthouse_spec::manifest::MailbagOffer;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::peer::mailbag::{Mailbag, MailbagRequest, MailbagResponse};
use posthouse_spec::{Domain, LaneSeq, Millis, Signed};
use tokio_util::sync::CancellationToken;

use super::plan::{Answer, Lane, Patience, Planner, Step};
use crate::metrics::{MAILBAG_ITEMS_LEFT, MAILBAGS_LEFT, MAILBAGS_NOT_LEFT};
use crate::network::Network;
use crate::store::{LaneId, LeftMark, Store};

/// Destinations for which bags are left at once.
const AT_ONCE: usize = 4;
/// The size that the envelope in a bag aims at, bytes: small enough that a holder which is almost full takes some more.
const BAG_TARGET: usize = 256 * 1024;
/// How often the lanes are looked at, at most and at least.
const LOOK: std::ops::RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(5);
/// How long a holder must hold a bag, milliseconds.
const MIN_HELD_MS: u64 = 60 * 60 * 1000;

/// Leaves mailbags.
pub struct Leaver {
    network: Network,
    store: Store,
    clock: Clock,
    patience: Patience,
    retention_ms: u64,
    planner: Mutex<Planner>,
}

/// Why nothing more can be left for a destination now.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("this relay's own store failed: {0}")]
    Own(String),
    #[error("{0}")]
    Seal(String),
}

/// The lanes on which something waits, by destination.
type Waiting = BTreeMap<Domain, Vec<LaneClass>>;

impl Leaver {
    /// A leaver for a relay that lets others be away for `leave_after_ms`, and keeps messages for `retention_ms`.
    #[must_use]
    pub fn new(network: Network, store: Store, clock: Clock, leave_after_ms: u64, retention_ms: u64) -> Self {
        let patience = Patience::new(leave_after_ms);
        let planner = Mutex::new(Planner::new(network.domain().clone(), patience));
        Self { network, store, clock, patience, retention_ms, planner }
    }

    /// Leaves bags until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let period = Duration::from_millis(self.patience.leave_after_ms / 4);
        let mut looks = tokio::time::interval(period.clamp(*LOOK.start(), *LOOK.end()));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if stop.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    fn planner(&self) -> MutexGuard<'_, Planner> {
        // Every change is one step, so a holder of the lock that panicked leaves a sound value.
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) {
        let Some(federation) = self.network.federation() else { return };
        let waiting = match self.waiting().await {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(%error, "the outbox cannot say who is waited for"),
        };
        let away: BTreeSet<Domain> = waiting
            .keys()
            .filter(|domain| federation.permits(domain) && !federation.is_connected(domain))
            .cloned()
            .collect();
        let now = (self.clock)();
        let due = {
            let mut planner = self.planner();
            planner.handle_away(&away, now);
            planner.due(now)
        };
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |destination| {
                let classes = waiting.get(&destination).map_or(&[][..], Vec::as_slice);
                if let Err(error) = self.leave(&federation, &destination, classes).await {
                    tracing::error!(%destination, %error, "mailbags could not be left; they are tried again");
                }
                self.planner().handle_done(&destination, (self.clock)());
            })
            .await;
    }

    async fn waiting(&self) -> Result<Waiting, Stopped> {
        let mut waiting = Waiting::new();
        for lane in self.store.waiting_lanes().await.map_err(own)? {
            if matches!(lane.class, LaneClass::Control | LaneClass::Messages) {
                waiting.entry(lane.peer).or_default().push(lane.class);
            }
        }
        Ok(waiting)
    }

    /// Leaves what there is for one destination, bag by bag, until all is left, nobody takes more, or it is back.
    async fn leave(
        &self,
        federation: &Federation,
        destination: &Domain,
        classes: &[LaneClass],
    ) -> Result<(), Stopped> {
        let manifest = federation.pinned_manifest(destination).await.map_err(own)?;
        let Some(offer) = manifest.and_then(|manifest| manifest.mailbags.clone()) else { return Ok(()) };
        while !federation.is_connected(destination) {
            let now = (self.clock)();
            let mut lanes = Vec::new();
            for class in classes {
                let state = self.store.lane(&id(destination, *class)).await.map_err(own)?;
                let (incarnation, oldest, next) = (state.incarnation, state.oldest, state.next);
                lanes.push(Lane { class: *class, incarnation, oldest, next });
            }
            let left = self.store.left_marks(destination).await.map_err(own)?;
            let permitted = |holder: &Domain| federation.permits(holder);
            let step = self.planner().step(destination, &offer.holders, permitted, &lanes, &left, now);
            let Step::Leave { class, from, holder } = step else { return Ok(()) };
            let Some(lane) = lanes.iter().find(|lane| lane.class == class) else { return Ok(()) };
            let waiting = id(destination, class);
            if self.store.life_to_leave(&waiting, lane.next).await.map_err(own)? != lane.incarnation {
                continue;
            }
            let items = self.items(&waiting, lane, from).await?;
            let packed = federation.envelope(&waiting.into(), lane.incarnation, from, items);
            // The lane has moved on, or begun another life: the next look sees where it stands.
            let Some(envelope) = packed else { return Ok(()) };
            let Ok(inside) = envelope.peek() else { return Ok(()) };
            let Some(bag) = self.sealed(&offer, &envelope, &inside, now).await? else { return Ok(()) };
            if let Some(until) = self.hand_over(federation, destination, &holder, bag).await {
                let before = left.iter().find(|mark| mark.class == class && mark.next == from);
                self.remember(destination, &inside, holder, before, until).await?;
            }
        }
        Ok(())
    }

    /// What goes into the next bag: nothing that came since `lane` was looked at.
    async fn items(&self, at: &LaneId, lane: &Lane, from: LaneSeq) -> Result<Vec<OutboundItem>, Stopped> {
        let waiting = usize::try_from(lane.next.0.saturating_sub(from.0)).unwrap_or(usize::MAX);
        let most = waiting.min(MAX_ENVELOPE_ITEMS);
        let items = self.store.lane_items(at, lane.incarnation, from, most, BAG_TARGET).await.map_err(own)?;
        Ok(items.into_iter().map(|item| OutboundItem { seq: item.seq, bytes: item.bytes }).collect())
    }

    /// A bag is good for as long as its oldest item: then the lane begins another life, in which the items have other
    /// positions, and what came by this bag could not be told from what comes on that.
    async fn sealed(
        &self,
        offer: &MailbagOffer,
        envelope: &Signed<Envelope>,
        inside: &Envelope,
        now: Millis,
    ) -> Result<Option<Mailbag>, Stopped> {
        let lane = id(&inside.destination, inside.class);
        let received = self.store.lane_item_received(&lane, inside.incarnation, inside.first).await;
        // The lane has moved on, or begun another life, since the items were read.
        let Some(received) = received.map_err(own)? else { return Ok(None) };
        let expires = received.after(self.retention_ms);
        // It is about to go, and its sender to be told.
        if expires <= now {
            return Ok(None);
        }
        seal_mailbag(&offer.key, envelope, expires)
            .map(Some)
            .map_err(|error| Stopped::Seal(error.to_string()))
    }

    /// Asks a holder to hold a bag; says until when it does.
    async fn hand_over(
        &self,
        federation: &Federation,
        destination: &Domain,
        holder: &Domain,
        bag: Mailbag,
    ) -> Option<Millis> {
        let expires = bag.expires;
        let answered = federation.mailbag(holder, MailbagRequest::Leave(bag)).await;
        let (answer, why) = match answered {
            Ok(MailbagResponse::Held(until)) if !is_worth_it(until, expires, (self.clock)()) => {
                (Answer::NotAHolder, "it would throw the bag away at once".to_owned())
            }
            Ok(MailbagResponse::Held(until)) => {
                self.planner().handle_answer(destination, holder, Answer::Held, (self.clock)());
                return Some(until);
            }
            Ok(_) => (Answer::Unreached, "it answered something else than was asked".to_owned()),
            Err(error) => (judged(&error), error.to_string()),
        };
        metrics::counter!(MAILBAGS_NOT_LEFT, "holder" => holder.to_string()).increment(1);
        if self.planner().handle_answer(destination, holder, answer, (self.clock)()) {
            tracing::warn!(%destination, %holder, why, "a holder did not take a mailbag; the outbox keeps what waits");
        }
        None
    }

    async fn remember(
        &self,
        destination: &Domain,
        inside: &Envelope,
        holder: Domain,
        before: Option<&LeftMark>,
        until: Millis,
    ) -> Result<(), Stopped> {
        let items = inside.items.len() as u64;
        metrics::counter!(MAILBAGS_LEFT, "holder" => holder.to_string()).increment(1);
        metrics::counter!(MAILBAG_ITEMS_LEFT, "holder" => holder.to_string()).increment(items);
        tracing::info!(%destination, %holder, class = %inside.class, items, next = %inside.next(), "left a mailbag");
        let mark = LeftMark {
            class: inside.class,
            incarnation: inside.incarnation,
            next: inside.next(),
            holder,
            until: before.map_or(until, |before| before.until.min(until)),
        };
        self.store.mark_left(destination, mark).await.map_err(own)
    }
}

fn id(peer: &Domain, class: LaneClass) -> LaneId {
    LaneId { peer: peer.clone(), class }
}

fn own(error: impl std::fmt::Display) -> Stopped {
    Stopped::Own(error.to_string())
}

/// Whether a bag is held for long enough: for a while, or for as long as it is good. What is held for no time would be left
/// again and again, as fast as the holder answers.
fn is_worth_it(until: Millis, expires: Millis, now: Millis) -> bool {
    until >= expires.min(now.after(MIN_HELD_MS))
}

/// What a failed question to a holder means for the plan.
fn judged(error: &PeerError) -> Answer {
    match error {
        PeerError::Refused { rule: PeerRule::HolderFull, .. } => Answer::Full,
        PeerError::Refused { rule: PeerRule::NotAHolder | PeerRule::NotAllowed, .. } => Answer::NotAHolder,
        _ => Answer::Unreached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_holds_for_no_time_is_none() {
        let (now, late) = (Millis(1_000), Millis(1_000 + 2 * MIN_HELD_MS));
        assert!(is_worth_it(late, late, now));
        assert!(is_worth_it(now.after(MIN_HELD_MS), late, now));
        assert!(!is_worth_it(now.after(MIN_HELD_MS - 1), late, now));
        assert!(!is_worth_it(Millis(0), late, now));
        assert!(is_worth_it(Millis(1_001), Millis(1_001), now), "it is good for no longer");
    }
}
