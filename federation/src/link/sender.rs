//! The origin's side of a lane: what to fetch from the outbox, what to send, and what has arrived.

use std::collections::VecDeque;

use posthouse_crypto::SigningKey;
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::limits::MAX_ENVELOPE_ITEMS;
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::{Ack, Credit, Open, RefusedItem, Resume};
use posthouse_spec::peer::hello::{PeerRefusal, PeerRule};
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis, Signed};

use super::fault::{LinkFault, Violation, compare};
use crate::host::{LaneState, MAX_LANE_ITEM, OutboundItem};

/// The most that an envelope aims at, bytes: large enough that its signature costs nothing, small enough that the
/// destination's transaction stays short.
const MAX_TARGET: usize = 1024 * 1024;
/// What a stream's first envelopes aim at, and the least, bytes: a slow way carries four of these well within the
/// destination's time, so that each attempt brings the lane forward.
const FIRST_TARGET: usize = 64 * 1024;
const MIN_TARGET: usize = 16 * 1024;
/// An acknowledgement that comes sooner than this makes the next envelopes larger, one that comes later than
/// [`SLOW_MS`] smaller, milliseconds.
const QUICK_MS: u64 = 1_000;
const SLOW_MS: u64 = 4_000;
/// Envelopes in flight. While these are on their way new items gather, and travel together in the next one.
const MAX_IN_FLIGHT: usize = 4;
/// How long the destination may take to answer or to acknowledge anything before the stream is given up, milliseconds;
/// what is on its way has its own time on top.
const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// What the slowest way that a lane may use carries, bytes a second. Connections that are dead are found by other means.
const SLOWEST_WAY: u64 = 16 * 1024;

/// The lane that a sender works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// This relay.
    pub origin: Domain,
    /// The other one.
    pub destination: Domain,
    /// What the lane carries.
    pub class: LaneClass,
    /// The lane's life.
    pub incarnation: Incarnation,
}

/// What to take from the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// From this position on.
    pub from: LaneSeq,
    /// At most so many items.
    pub max_items: usize,
    /// … of at most so many bytes together.
    pub max_bytes: usize,
}

/// What a frame from the destination means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Everything below `next` may leave the outbox.
    Acknowledged {
        /// The destination's cursor.
        next: LaneSeq,
        /// What it took off the lane without delivering it.
        refused: Vec<RefusedItem>,
    },
    /// The destination is busy; the stream ends, and the lane goes on later.
    Later {
        /// When to try again, milliseconds from now.
        retry_after_ms: u64,
    },
    /// The destination says that this relay broke a rule; the stream ends.
    Refused(PeerRefusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InFlight {
    next: LaneSeq,
    bytes: u64,
    sent_at: Millis,
}

/// The origin's side of one stream of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    lane: Lane,
    state: LaneState,
    /// Set once the destination has answered.
    credit: Option<Credit>,
    acked: LaneSeq,
    sent: LaneSeq,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: u64,
    /// Whether the outbox may hold something at `sent`.
    more: bool,
    /// Bytes of credit below which fetching is in vain.
    needs: u64,
    /// What the next envelope aims at, bytes.
    target: usize,
    deadline: Option<Millis>,
}

impl Sender {
    /// A sender that has just opened its stream.
    #[must_use]
    pub fn new(lane: Lane, state: LaneState, now: Millis) -> Self {
        Self {
            lane,
            state,
            credit: None,
            acked: state.oldest,
            sent: state.oldest,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            more: true,
            needs: 1,
            target: FIRST_TARGET,
            deadline: Some(now.after(ANSWER_TIMEOUT_MS)),
        }
    }

    /// The first frame.
    #[must_use]
    pub fn open(&self) -> Open {
        Open { class: self.lane.class, incarnation: self.state.incarnation, oldest: self.state.oldest }
    }

    /// Something new may be in the outbox.
    pub fn handle_wake(&mut self, now: Millis) {
        self.more = true;
        if self.deadline.is_none() {
            self.rearm(now);
        }
    }

    /// A frame from the destination.
    ///
    /// # Errors
    /// The destination broke a rule, or one of the two relays has lost data.
    pub fn handle_receipt(&mut self, frame: ReceiptFrame, now: Millis) -> Result<Progress, LinkFault> {
        match frame {
            ReceiptFrame::Resume(resume) => self.handle_resume(&resume, now),
            ReceiptFrame::Ack(ack) => self.handle_ack(ack, now),
            ReceiptFrame::Busy(busy) => Ok(Progress::Later { retry_after_ms: busy.retry_after_ms }),
            ReceiptFrame::Refused(refusal) => Ok(Progress::Refused(refusal)),
        }
    }

    fn handle_resume(&mut self, resume: &Resume, now: Millis) -> Result<Progress, LinkFault> {
        if self.credit.is_some() {
            return Err(
                Violation::new(PeerRule::OutOfTurn, "a second answer to the opening of a lane").into()
            );
        }
        compare(&self.state, resume.next)?;
        self.credit = Some(resume.credit.clone());
        self.acked = resume.next;
        self.sent = resume.next;
        self.rearm(now);
        Ok(Progress::Acknowledged { next: resume.next, refused: Vec::new() })
    }

    fn handle_ack(&mut self, ack: Ack, now: Millis) -> Result<Progress, LinkFault> {
        let Ack { next, refused, credit } = ack;
        if self.credit.is_none() {
            return Err(
                Violation::new(PeerRule::OutOfTurn, "an acknowledgement before the lane's answer").into()
            );
        }
        if next < self.acked || next > self.sent {
            let (acked, sent) = (self.acked, self.sent);
            let detail =
                format!("acknowledged up to {next}, but {acked} was acknowledged and {sent} is sent next");
            return Err(Violation::new(PeerRule::OutOfTurn, detail).into());
        }
        if let Some(stray) = refused.iter().find(|item| item.seq < self.acked || item.seq >= next) {
            let detail =
                format!("item {} is refused in an acknowledgement that does not cover it", stray.seq);
            return Err(Violation::new(PeerRule::OutOfTurn, detail).into());
        }
        while let Some(envelope) = self.in_flight.pop_front_if(|envelope| envelope.next <= next) {
            self.in_flight_bytes -= envelope.bytes;
            self.aim(now.0.saturating_sub(envelope.sent_at.0));
        }
        self.credit = Some(credit);
        self.acked = next;
        self.rearm(now);
        Ok(Progress::Acknowledged { next, refused: refused.into_vec() })
    }

    /// An envelope was acknowledged after so many milliseconds: the next ones are as large as the way can bear.
    fn aim(&mut self, took_ms: u64) {
        if took_ms < QUICK_MS {
            self.target = (self.target * 2).min(MAX_TARGET);
        } else if took_ms > SLOW_MS {
            self.target = (self.target / 2).max(MIN_TARGET);
        }
    }

    /// What to take from the outbox now, if there is room for it on the way.
    #[must_use]
    pub fn poll_fetch(&self) -> Option<Fetch> {
        let credit = self.credit.as_ref()?;
        let items = credit.items.saturating_sub(self.sent.0 - self.acked.0);
        let bytes = credit.bytes.saturating_sub(self.in_flight_bytes);
        let room = self.in_flight.len() < MAX_IN_FLIGHT && items > 0 && bytes >= self.needs;
        (self.more && room).then(|| Fetch {
            from: self.sent,
            max_items: usize::try_from(items).unwrap_or(usize::MAX).min(MAX_ENVELOPE_ITEMS),
            max_bytes: usize::try_from(bytes).unwrap_or(usize::MAX).min(self.target),
        })
    }

    /// Packs what the outbox gave into an envelope, signed with the node's key; nothing when it gave nothing, or when
    /// the credit must grow first. `created` is what the envelope says of its making, by the wall clock; `now`, as
    /// everywhere here, is of a clock that runs evenly.
    ///
    /// # Errors
    /// The outbox gave something else, or an item that cannot travel.
    pub fn handle_items(
        &mut self,
        items: Vec<OutboundItem>,
        key: &SigningKey,
        created: Millis,
        now: Millis,
    ) -> Result<Option<Signed<Envelope>>, LinkFault> {
        let packed = self.pack(items)?;
        if packed.is_empty() {
            self.more = false;
            return Ok(None);
        }
        let envelope = Envelope {
            version: ENVELOPE_VERSION,
            origin: self.lane.origin.clone(),
            destination: self.lane.destination.clone(),
            class: self.lane.class,
            incarnation: self.lane.incarnation,
            first: self.sent,
            created,
            items: packed,
        };
        let signed = key.sign(&envelope);
        let bytes = signed.as_bytes().len() as u64;
        let granted = self.credit.as_ref().map_or(0, |credit| credit.bytes);
        if granted.saturating_sub(self.in_flight_bytes) < bytes {
            if self.in_flight.is_empty() {
                return Err(LinkFault::NarrowWindow { granted, needed: bytes });
            }
            self.needs = bytes;
            return Ok(None);
        }
        self.needs = 1;
        self.sent = envelope.next();
        let waited_for = self.deadline.filter(|_| !self.in_flight.is_empty());
        self.in_flight.push_back(InFlight { next: self.sent, bytes, sent_at: now });
        self.in_flight_bytes += bytes;
        let silence = waited_for.unwrap_or_else(|| now.after(ANSWER_TIMEOUT_MS));
        self.deadline = Some(silence.after(way_ms(bytes)));
        Ok(Some(signed))
    }

    /// The run of items that fits one envelope.
    fn pack(
        &self,
        items: Vec<OutboundItem>,
    ) -> Result<List<Octets<{ posthouse_spec::limits::MAX_ENVELOPE }>, MAX_ENVELOPE_ITEMS>, LinkFault> {
        let mut packed = Vec::new();
        let mut total = 0;
        for (expected, item) in (self.sent.0..).zip(items).take(MAX_ENVELOPE_ITEMS) {
            if item.seq.0 != expected {
                return Err(LinkFault::Outbox { expected: LaneSeq(expected), found: item.seq });
            }
            // Five bytes are the longest head of a byte string of this size.
            let len = item.bytes.len() + 5;
            if item.bytes.len() > MAX_LANE_ITEM {
                return Err(LinkFault::TooLong { seq: item.seq, len: item.bytes.len() });
            }
            if !packed.is_empty() && total + len > MAX_LANE_ITEM {
                break;
            }
            total += len;
            let seq = item.seq;
            packed.push(Octets::new(item.bytes).map_err(|_| LinkFault::TooLong { seq, len })?);
        }
        // `take` above holds the list's own limit.
        Ok(List::new(packed).unwrap_or_default())
    }

    fn rearm(&mut self, now: Millis) {
        // Whoever grants nothing though nothing is on its way would keep the lane waiting for ever.
        let owed = !self.in_flight.is_empty() || (self.more && self.poll_fetch().is_none());
        self.deadline = owed.then(|| now.after(ANSWER_TIMEOUT_MS + way_ms(self.in_flight_bytes)));
    }

    /// When the destination's silence becomes too long, if anything is expected of it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.deadline
    }

    /// Whether the stream is to be given up at `now`.
    #[must_use]
    pub fn handle_timeout(&self, now: Millis) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Items that are sent and not acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.sent.0 - self.acked.0
    }

    /// Whether more than what is in flight may wait in the outbox.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Whether the outbox had nothing more when it was last asked, and all that was sent is acknowledged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.credit.is_some() && !self.more && self.in_flight.is_empty()
    }
}

/// How long the slowest way takes for so many bytes, milliseconds, by whole seconds.
fn way_ms(bytes: u64) -> u64 {
    bytes / SLOWEST_WAY * 1_000
}
