//! `/posthouse/deliver/1`: one long-lived stream for each lane, from origin to destination.
//!
//! The origin opens the stream with [`Open`]; the destination answers [`Resume`] with its cursor and credit. Then
//! envelopes flow one way, cumulative [`Ack`]s with new credit the other. Everything from the cursor on may be sent
//! again after a break; what lies below it is dropped by the receiver.

use crate::cbor::{List, Octets, Text};
use crate::envelope::LaneClass;
use crate::ids::{Incarnation, LaneSeq};
use crate::limits::{MAX_DETAIL, MAX_ENVELOPE, MAX_ENVELOPE_ITEMS};
use crate::peer::hello::PeerRefusal;
use crate::{choice, codes, record};

/// The libp2p protocol name.
pub const PROTOCOL: &str = "/posthouse/deliver/1";

record! {
    /// The origin names the lane.
    pub struct Open {
        /// The lane's class.
        1 => class: LaneClass,
        /// The lane's life.
        2 => incarnation: Incarnation,
        /// The position of the oldest item that the origin still has.
        3 => oldest: LaneSeq,
    }
}

choice! {
    /// From origin to destination.
    pub enum DeliverFrame {
        /// The first frame.
        1 => Open(Open),
        /// A signed envelope.
        2 => Envelope(Octets<MAX_ENVELOPE>),
    }
}

record! {
    /// How much may be in flight beyond the last acknowledgement.
    pub struct Credit {
        /// Items.
        1 => items: u64,
        /// Bytes of envelopes.
        2 => bytes: u64,
    }
}

record! {
    /// The answer to [`Open`].
    pub struct Resume {
        /// The position that the destination expects next.
        1 => next: LaneSeq,
        /// How much may be in flight.
        2 => credit: Credit,
    }
}

codes! {
    /// Why a destination took an item off the lane without delivering it.
    pub enum ItemRefusal {
        /// The recipients' mailboxes are full.
        1 => Quota = "quota-exceeded",
        /// The room is not known there and the aside store is full.
        2 => UnknownRoom = "unknown-room",
        /// Nobody of the room lives there any more.
        3 => NoRecipient = "no-recipient",
        /// A Welcome without a ticket that the relay gave out.
        4 => NoTicket = "no-ticket",
        /// The item's content breaks a rule (the detail says which).
        5 => Invalid = "invalid-item",
    }
}

record! {
    /// One item that was not delivered.
    pub struct RefusedItem {
        /// Its position.
        1 => seq: LaneSeq,
        /// Why.
        2 => reason: ItemRefusal,
        /// In words.
        3 => detail: Text<MAX_DETAIL>,
    }
}

record! {
    /// Everything below `next` is durable at the destination, or refused there for good.
    pub struct Ack {
        /// The position that the destination expects next.
        1 => next: LaneSeq,
        /// The items since the last acknowledgement that were refused.
        2 => refused: List<RefusedItem, MAX_ENVELOPE_ITEMS>,
        /// How much may be in flight from here.
        3 => credit: Credit,
    }
}

record! {
    /// The destination cannot take more now; the stream closes.
    pub struct Busy {
        /// When to try again, milliseconds.
        1 => retry_after_ms: u64,
    }
}

choice! {
    /// From destination to origin.
    pub enum ReceiptFrame {
        /// The answer to the first frame.
        1 => Resume(Resume),
        /// Progress.
        2 => Ack(Ack),
        /// Not now.
        3 => Busy(Busy),
        /// The origin broke a rule; the stream closes.
        4 => Refused(PeerRefusal),
    }
}
