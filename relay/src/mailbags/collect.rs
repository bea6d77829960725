//! The destination's side: collects what was left with its holders while it was down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use posthouse_crypto::{BagFault, SealError, Verified};
use posthouse_federation::{Clock, Federation, Host, PeerError, ReceiveError};
use posthouse_spec::cbor::List;
use posthouse_spec::envelope::Envelope;
use posthouse_spec::limits::MAX_MAILBAG_LIST;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::peer::mailbag::{MailbagList, MailbagRef, MailbagRequest, MailbagResponse};
use posthouse_spec::{Domain, EnvelopeId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::check::{BadBag, BagRule, check_expiry, check_label};
use super::key::MailbagKeys;
use super::vouch::{Vouched, Vouching};
use crate::metrics::{MAILBAGS_COLLECTED, MAILBAGS_REFUSED};
use crate::network::Network;
use crate::store::{Incoming, LanePlace, Store};

/// How often a holder is asked, even if nothing speaks for it that it holds anything.
const ASK: Duration = Duration::from_secs(3 * 60);
/// How soon a holder that could not be asked is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(20);
/// Bags that wait at one holder for what goes before them on their lanes, and are remembered.
const MAX_STUCK: usize = 4096;
/// Bags at one holder that do not open, and are remembered.
const MAX_CLOSED: usize = 4096;
/// Lists that are worked through in one go; the rest comes with the next.
const MAX_LISTS: usize = 512;

/// Collects mailbags.
pub struct Collector {
    network: Network,
    host: Arc<dyn Host>,
    store: Store,
    keys: MailbagKeys,
    clock: Clock,
}

/// What became of one bag.
enum Bag {
    /// Its envelope is durable here, now or since before.
    Taken,
    /// It is worth nothing.
    Bad(BadBag),
    /// The holder has it no more.
    Gone,
    /// It stays with the holder for now.
    Later,
}

/// Why a holder is not asked any further now.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Holder(#[from] PeerError),
    #[error("it answered something else than was asked")]
    Nonsense,
    #[error("this relay's own store failed: {0}")]
    Own(String),
}

/// What is remembered of one holder's bags.
#[derive(Default)]
struct Memory {
    /// Bags that begin ahead of their lane's cursor, and where.
    stuck: BTreeMap<EnvelopeId, LanePlace>,
    /// Bags that open with none of this relay's keys.
    closed: BTreeSet<(Domain, EnvelopeId)>,
    /// Origins that could not be looked up in this round.
    unknown: BTreeSet<Domain>,
    /// Whether something could not be taken in this round that may be soon.
    again: bool,
}

impl Collector {
    /// A collector that opens bags with `keys`.
    #[must_use]
    pub fn new(network: Network, host: Arc<dyn Host>, store: Store, keys: MailbagKeys, clock: Clock) -> Self {
        Self { network, host, store, keys, clock }
    }

    /// Collects from each holder until told to stop; each is a task of its own.
    pub fn spawn(self, holders: &[Domain], tasks: &TaskTracker, stop: &CancellationToken) {
        let this = Arc::new(self);
        for holder in holders {
            let (this, holder, stop) = (Arc::clone(&this), holder.clone(), stop.clone());
            tasks.spawn(async move {
                // What has become durable is not lost with the task; the holder has it still, and the cursor drops it.
                let _ = stop.run_until_cancelled(this.follow(&holder)).await;
            });
        }
    }

    async fn follow(&self, holder: &Domain) {
        let mut memory = Memory::default();
        loop {
            let Some(federation) = self.network.federation() else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            memory.unknown.clear();
            memory.again = false;
            let mut arrivals = federation.arrivals(holder);
            let wait = match self.collect(&federation, holder, &mut memory).await {
                Ok(()) if memory.again => ASK_AGAIN,
                Ok(()) => ASK,
                Err(Stopped::Holder(error @ PeerError::Refused { rule: PeerRule::NotAHolder, .. })) => {
                    tracing::warn!(%holder, %error, "a relay that `mailbags.holders` names holds nothing for this one; ask its operator");
                    ASK
                }
                Err(error) => {
                    tracing::info!(%holder, %error, "mailbags are collected later");
                    ASK_AGAIN
                }
            };
            arrivals.skip_current();
            // Either way it is time to ask again.
            let _ = tokio::time::timeout(wait, arrivals.next()).await;
        }
    }

    /// Takes what a holder has until nothing is left that can be taken now. Where a whole list cannot, it asks for more of them:
    /// the list shows the next part then.
    async fn collect(
        &self,
        federation: &Federation,
        holder: &Domain,
        memory: &mut Memory,
    ) -> Result<(), Stopped> {
        let (mut part, mut before) = (1, Vec::new());
        for _ in 0..MAX_LISTS {
            let request = MailbagRequest::List(part * MAX_MAILBAG_LIST as u64);
            let MailbagResponse::List(list) = federation.mailbag(holder, request).await? else {
                return Err(Stopped::Nonsense);
            };
            memory.forget_all_but(&list);
            let (mut done, mut taken, mut stopped) = (Vec::new(), 0, None);
            for bag in list.held.iter() {
                match self.bring(federation, holder, bag, memory).await {
                    Ok(Bag::Taken) => {
                        taken += 1;
                        done.push(bag.clone());
                    }
                    Ok(Bag::Bad(bad)) => {
                        report(holder, bag, &bad);
                        done.push(bag.clone());
                    }
                    Ok(Bag::Gone | Bag::Later) => {}
                    Err(error) => {
                        stopped = Some(error);
                        break;
                    }
                }
            }
            let dropped = !done.is_empty();
            if dropped {
                self.drop_bags(federation, holder, done).await?;
                tracing::info!(%holder, bags = taken, held = list.total, "collected mailbags");
            }
            match stopped {
                Some(error) => return Err(error),
                // What waited for this may be among the oldest.
                None if dropped => (part, before) = (1, Vec::new()),
                None => {
                    let held = list.held.into_vec();
                    // A holder that knows no parts shows the first again.
                    if held.is_empty() || held == before || list.total <= held.len() as u64 {
                        return Ok(());
                    }
                    (part, before) = (part + 1, held);
                }
            }
        }
        memory.again = true;
        Ok(())
    }

    async fn drop_bags(
        &self,
        federation: &Federation,
        holder: &Domain,
        bags: Vec<MailbagRef>,
    ) -> Result<(), Stopped> {
        // No more were listed than the list holds.
        let request = MailbagRequest::Drop(List::new(bags).unwrap_or_default());
        match federation.mailbag(holder, request).await? {
            MailbagResponse::Dropped(_) => Ok(()),
            _ => Err(Stopped::Nonsense),
        }
    }

    async fn bring(
        &self,
        federation: &Federation,
        holder: &Domain,
        asked: &MailbagRef,
        memory: &mut Memory,
    ) -> Result<Bag, Stopped> {
        if !federation.permits(&asked.origin) {
            // The operator may think again.
            return Ok(Bag::Later);
        }
        let waits = memory.unknown.contains(&asked.origin) || memory.is_closed(asked);
        if waits || self.is_stuck(asked, memory).await? {
            return Ok(Bag::Later);
        }
        let request = MailbagRequest::Take(asked.clone());
        let MailbagResponse::Mailbag(found) = federation.mailbag(holder, request).await? else {
            return Err(Stopped::Nonsense);
        };
        let Some(bag) = found.into_vec().pop() else { return Ok(Bag::Gone) };
        if let Err(bad) = check_label(self.network.domain(), asked, &bag) {
            return Ok(Bag::Bad(bad));
        }
        let envelope = match self.keys.open_bag(&bag) {
            Ok(envelope) => envelope,
            // The key for it may be missing here, and be put back.
            Err(BagFault::Seal(fault)) => {
                memory.close(holder, asked, fault);
                return Ok(Bag::Later);
            }
            Err(fault) => return Ok(Bag::Bad(fault.into())),
        };
        let now = (self.clock)();
        if let Err(bad) = check_expiry(&bag, now) {
            return Ok(Bag::Bad(bad));
        }
        let (origin, host) = (&asked.origin, &*self.host);
        let vouching = Vouching { federation, host, origin, now };
        match vouching.vouch(&envelope).await.map_err(|error| Stopped::Own(error.to_string()))? {
            Vouched::Good(envelope) => self.receive(asked, *envelope, memory).await,
            Vouched::Bad(bad) => Ok(Bag::Bad(bad)),
            Vouched::Nobody(error) => {
                tracing::info!(%origin, %error, "its mailbags stay with their holder: its key cannot be looked up");
                memory.unknown.insert(origin.clone());
                memory.again = true;
                Ok(Bag::Later)
            }
        }
    }

    /// Whether a bag that was seen before still begins ahead of its lane's cursor.
    async fn is_stuck(&self, asked: &MailbagRef, memory: &mut Memory) -> Result<bool, Stopped> {
        let Some(place) = memory.stuck.get(&asked.envelope) else { return Ok(false) };
        let cursor = self.store.cursor(&place.lane).await;
        Ok(cursor.map_err(|error| Stopped::Own(error.to_string()))? < place.seq)
    }

    async fn receive(
        &self,
        asked: &MailbagRef,
        envelope: Verified<Envelope>,
        memory: &mut Memory,
    ) -> Result<Bag, Stopped> {
        let (class, incarnation) = (envelope.class, envelope.incarnation);
        let lane = Incoming { origin: asked.origin.clone(), class, incarnation };
        let place = LanePlace { lane, seq: envelope.first };
        match self.host.receive(&asked.origin, envelope).await {
            Ok(received) => {
                memory.stuck.remove(&asked.envelope);
                metrics::counter!(MAILBAGS_COLLECTED).increment(1);
                if let Some(item) = received.refused.first() {
                    let (items, reason) = (received.refused.len(), &item.reason);
                    tracing::info!(origin = %asked.origin, items, first = %item.seq, %reason, "items of a mailbag go undelivered");
                }
                Ok(Bag::Taken)
            }
            // A room may need its hub first: that is no reason to let others wait.
            Err(ReceiveError::Host(error)) => {
                tracing::warn!(origin = %asked.origin, %class, %error, "a mailbag cannot be taken now");
                memory.again = true;
                Ok(Bag::Later)
            }
            Err(ReceiveError::Gap { expected }) => {
                tracing::debug!(origin = %asked.origin, %expected, first = %place.seq, "a mailbag waits for what goes before it");
                if memory.stuck.len() < MAX_STUCK {
                    memory.stuck.insert(asked.envelope, place);
                }
                Ok(Bag::Later)
            }
            Err(ReceiveError::Rule(rule, detail)) => Ok(Bag::Bad(BadBag::new(BagRule::Peer(rule), detail))),
        }
    }
}

impl Memory {
    /// What is not held any more needs not be remembered; where the list does not show everything, the rest may only be
    /// hidden.
    fn forget_all_but(&mut self, list: &MailbagList) {
        if list.held.len() as u64 >= list.total {
            self.stuck.retain(|id, _| list.held.iter().any(|bag| bag.envelope == *id));
            self.closed.retain(|(origin, id)| {
                list.held.iter().any(|bag| bag.origin == *origin && bag.envelope == *id)
            });
        }
    }

    fn is_closed(&self, bag: &MailbagRef) -> bool {
        self.closed.contains(&(bag.origin.clone(), bag.envelope))
    }

    /// Names a bag that does not open; it is not asked for again before the next start, which reads the keys anew.
    fn close(&mut self, holder: &Domain, bag: &MailbagRef, fault: SealError) {
        if self.closed.len() < MAX_CLOSED {
            self.closed.insert((bag.origin.clone(), bag.envelope));
        }
        let rule = BagRule::Seal.name();
        metrics::counter!(MAILBAGS_REFUSED, "rule" => rule).increment(1);
        tracing::warn!(origin = %bag.origin, %holder, rule, %fault,
            "a mailbag does not open, and stays with its holder until it expires: it was altered, or mailbag.key lacks the \
             key that it was sealed to; put that back, as a line of its own, and restart");
    }
}

/// Names a bag that is worth nothing, and the rule.
fn report(holder: &Domain, bag: &MailbagRef, bad: &BadBag) {
    metrics::counter!(MAILBAGS_REFUSED, "rule" => bad.rule.name()).increment(1);
    tracing::warn!(
        origin = %bag.origin,
        %holder,
        rule = bad.rule.name(),
        detail = bad.detail,
        "a mailbag is refused, and dropped at its holder"
    );
}
