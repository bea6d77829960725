//! The destination's side of a lane: what may arrive, and what is acknowledged.

use bytes::Bytes;
use posthouse_crypto::{Verified, VerifyError, verify_any};
use posthouse_spec::cbor::List;
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::limits::{LANE_WINDOW_BYTES, LANE_WINDOW_ITEMS};
use posthouse_spec::peer::deliver::{Ack, Credit, Open, RefusedItem, Resume};
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Incarnation, LaneSeq, PublicKey, Signed};

use super::fault::Violation;
use crate::host::Received;

/// Envelopes after which an acknowledgement goes out even though more have come: the sender has as many in flight.
const ACK_EVERY: usize = 4;

/// What an envelope that keeps the rules is worth.
#[derive(Debug)]
pub enum Arrival {
    /// It carries something new: for the inbox, and then for [`Receiver::handle_received`].
    New(Box<Verified<Envelope>>),
    /// Everything in it was received before; it is only acknowledged again.
    Repeat,
}

/// The destination's side of one stream of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    origin: Domain,
    own: Domain,
    class: LaneClass,
    incarnation: Incarnation,
    credit: Credit,
    /// What the origin was told last.
    acked: LaneSeq,
    /// What is durable here, as far as this stream has brought it.
    next: LaneSeq,
    /// The position behind the last envelope that came on this stream.
    seen: LaneSeq,
    unacked: usize,
    unacked_bytes: u64,
    refused: Vec<RefusedItem>,
}

impl Receiver {
    /// A receiver for the lane that `origin` has opened, at the inbox's cursor.
    #[must_use]
    pub fn new(origin: Domain, own: Domain, open: &Open, cursor: LaneSeq) -> Self {
        Self {
            origin,
            own,
            class: open.class,
            incarnation: open.incarnation,
            credit: Credit { items: LANE_WINDOW_ITEMS, bytes: LANE_WINDOW_BYTES },
            acked: cursor,
            next: cursor,
            seen: cursor,
            unacked: 0,
            unacked_bytes: 0,
            refused: Vec::new(),
        }
    }

    /// Narrows or widens what may be in flight. The credit is constant over a stream's life, so that a sender is
    /// never caught with more in flight than it was granted.
    #[must_use]
    pub fn with_credit(mut self, credit: Credit) -> Self {
        self.credit = credit;
        self
    }

    /// The answer to the opening.
    #[must_use]
    pub fn resume(&self) -> Resume {
        Resume { next: self.next, credit: self.credit.clone() }
    }

    /// Checks an envelope: its signature by a key that `is_node` admits, then that it is of this lane, in order, and
    /// within the credit.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn handle_envelope(
        &mut self,
        bytes: Bytes,
        is_node: impl Fn(&PublicKey) -> bool,
    ) -> Result<Arrival, Violation> {
        let size = bytes.len() as u64;
        let signed =
            Signed::<Envelope>::from_bytes(bytes).map_err(|e| Violation::new(PeerRule::Malformed, e))?;
        let envelope = verify_any(&signed, is_node).map_err(|fault| self.name_fault(&signed, &fault))?;
        self.check_lane(&envelope)?;
        self.check_credit(&envelope, size)?;
        if envelope.first > self.next {
            let detail = format!("item {} was expected, {} came", self.next, envelope.first);
            return Err(Violation::new(PeerRule::Gap, detail));
        }
        self.unacked += 1;
        self.unacked_bytes += size;
        self.seen = self.seen.max(envelope.next());
        Ok(if envelope.next() <= self.next { Arrival::Repeat } else { Arrival::New(Box::new(envelope)) })
    }

    /// Another relay's envelope passed on is a forgery of this peer's, whatever its signature.
    fn name_fault(&self, signed: &Signed<Envelope>, fault: &VerifyError) -> Violation {
        match signed.peek() {
            Ok(envelope) if envelope.origin != self.origin => self.forged(&envelope),
            Ok(_) => Violation::new(PeerRule::EnvelopeSignature, fault),
            Err(malformed) => Violation::new(PeerRule::Malformed, malformed),
        }
    }

    fn forged(&self, envelope: &Envelope) -> Violation {
        let detail =
            format!("the envelope says it is from {}, the connection is {}'s", envelope.origin, self.origin);
        Violation::new(PeerRule::ForgedOrigin, detail)
    }

    fn check_lane(&self, envelope: &Envelope) -> Result<(), Violation> {
        if envelope.version != ENVELOPE_VERSION {
            let detail =
                format!("envelope version {}, this relay reads {ENVELOPE_VERSION}", envelope.version);
            return Err(Violation::new(PeerRule::Version, detail));
        }
        if envelope.origin != self.origin {
            return Err(self.forged(envelope));
        }
        if envelope.destination != self.own {
            let detail = format!("the envelope is for {}, this is {}", envelope.destination, self.own);
            return Err(Violation::new(PeerRule::WrongDestination, detail));
        }
        if envelope.class != self.class || envelope.incarnation != self.incarnation {
            let detail = format!(
                "the stream was opened for the {} lane {:?}, the envelope is of the {} lane {:?}",
                self.class, self.incarnation, envelope.class, envelope.incarnation
            );
            return Err(Violation::new(PeerRule::WrongLane, detail));
        }
        Ok(())
    }

    fn check_credit(&self, envelope: &Envelope, size: u64) -> Result<(), Violation> {
        let items = envelope.next().0.saturating_sub(self.acked.0);
        let bytes = self.unacked_bytes + size;
        if items <= self.credit.items && bytes <= self.credit.bytes {
            return Ok(());
        }
        let detail = format!(
            "{items} items and {bytes} bytes are in flight, {} and {} were granted",
            self.credit.items, self.credit.bytes
        );
        Err(Violation::new(PeerRule::OverCredit, detail))
    }

    /// The inbox has taken an envelope, durably. Its cursor may be ahead of this stream, where an earlier stream of the
    /// lane was still being worked off when this one began; what is acknowledged is what came here.
    pub fn handle_received(&mut self, received: Received) {
        self.next = self.next.max(received.next.min(self.seen));
        self.refused.extend(received.refused);
    }

    /// Whether the origin must be told now, even though more of its frames wait to be read.
    #[must_use]
    pub fn must_acknowledge(&self) -> bool {
        self.unacked >= ACK_EVERY || !self.refused.is_empty()
    }

    /// The acknowledgement of everything since the last one, if there is anything.
    pub fn poll_ack(&mut self) -> Option<Ack> {
        if self.unacked == 0 {
            return None;
        }
        let mut refused = std::mem::take(&mut self.refused);
        // Only what this acknowledgement covers; an inbox that repeats itself must not make this relay break a rule.
        refused.retain(|item| item.seq >= self.acked && item.seq < self.next);
        self.unacked = 0;
        self.unacked_bytes = 0;
        self.acked = self.next;
        // One envelope at a time carries refusals, and no envelope has more items than the list holds.
        let refused = List::new(refused).unwrap_or_default();
        Some(Ack { next: self.next, refused, credit: self.credit.clone() })
    }
}
