//! Envelopes: what one relay hands another, in order, on a lane.
//!
//! A lane is (origin, destination, class, incarnation). Its items are numbered from 1 without gaps; an envelope
//! carries a run of them under one signature of an origin's node key. The receiver keeps one cursor for each lane in
//! the same transaction as the items, so that a repeat changes nothing.

use crate::cbor::{List, Octets, Text};
use crate::ids::{Epoch, Incarnation, LaneSeq, Millis, RoomId};
use crate::limits::{MAX_BODY, MAX_DETAIL, MAX_ENVELOPE, MAX_ENVELOPE_ITEMS, MAX_MARK};
use crate::name::Domain;
use crate::room::{Decided, WelcomeBundle};
use crate::sign1::Payload;
use crate::{choice, codes, record};

codes! {
    /// What a lane carries. Lanes of different classes never wait for each other.
    pub enum LaneClass {
        /// Decisions, commits, Welcomes.
        1 => Control = "control",
        /// Durable messages and the ends of epochs.
        2 => Messages = "messages",
        /// Receipts and last seen, keyed.
        3 => Slots = "slots",
        /// Media chunks.
        4 => Media = "media",
    }
}

record! {
    /// A sealed message for every local device in a room.
    pub struct MessageItem {
        /// The room.
        1 => room: RoomId,
        /// The room's hub, for a relay that does not know the room yet.
        2 => hub: Domain,
        /// The epoch in which it was sealed.
        3 => epoch: Epoch,
        /// The MLS PrivateMessage, as an MLSMessage.
        4 => body: Octets<MAX_BODY>,
        /// The origin's own mark, which only it can read: it comes back in [`UndeliveredItem`].
        -1 => mark: Option<Octets<MAX_MARK>>,
    }
}

record! {
    /// The origin will send nothing more of this epoch: its members' devices may forget the epoch's secrets once all
    /// relays of the epoch have said so.
    pub struct EpochEndItem {
        /// The room.
        1 => room: RoomId,
        /// The room's hub.
        2 => hub: Domain,
        /// The epoch that is over.
        3 => epoch: Epoch,
    }
}

record! {
    /// A decided commit for a relay that is in the room.
    pub struct DecidedItem {
        /// The room.
        1 => room: RoomId,
        /// The room's hub.
        2 => hub: Domain,
        /// The commit and the decision.
        3 => decided: Decided,
    }
}

record! {
    /// New members: for their relay, with what it needs to observe the room from here on.
    pub struct WelcomeItem {
        /// The room.
        1 => room: RoomId,
        /// The room's hub.
        2 => hub: Domain,
        /// The commit that added them and its decision; the group info is of the epoch behind it.
        3 => decided: Decided,
        /// The Welcome, the group info with the tree, and who is invited at the destination.
        4 => bundle: WelcomeBundle,
    }
}

codes! {
    /// What became of a message after it was taken off its lane.
    pub enum Undelivered {
        /// It waited longer than messages are kept.
        1 => Expired = "expired",
        /// It was kept aside for its room, and then refused.
        2 => Refused = "refused",
        /// The relay lost it: its store was restored from a copy.
        3 => Lost = "lost",
    }
}

record! {
    /// Word back to the origin of a message that was acknowledged and yet did not reach all its devices.
    pub struct UndeliveredItem {
        /// The room.
        1 => room: RoomId,
        /// The mark that came with the message.
        2 => mark: Octets<MAX_MARK>,
        /// What became of it.
        3 => what: Undelivered,
        /// In words.
        4 => detail: Text<MAX_DETAIL>,
    }
}

record! {
    /// An operator's test of the whole way to another relay and back.
    pub struct CanaryItem {
        /// Random; the answer repeats it.
        1 => nonce: Octets<MAX_MARK>,
        /// Whether this is the answer.
        2 => answer: bool,
    }
}

choice! {
    /// One item of a lane.
    pub enum Item {
        /// On the messages lane.
        1 => Message(MessageItem),
        /// On the messages lane, behind the origin's last message of the epoch.
        2 => EpochEnd(EpochEndItem),
        /// On the control lane.
        3 => Decided(DecidedItem),
        /// On the control lane.
        4 => Welcome(WelcomeItem),
        /// On the messages lane.
        5 => Undelivered(UndeliveredItem),
        /// On the control lane.
        6 => Canary(CanaryItem),
    }
}

impl Item {
    /// The lane that carries this item.
    #[must_use]
    pub fn class(&self) -> LaneClass {
        match self {
            Self::Message(_) | Self::EpochEnd(_) | Self::Undelivered(_) => LaneClass::Messages,
            Self::Decided(_) | Self::Welcome(_) | Self::Canary(_) => LaneClass::Control,
        }
    }

    /// The room that it is about, if it is about one.
    #[must_use]
    pub fn room(&self) -> Option<RoomId> {
        match self {
            Self::Message(item) => Some(item.room),
            Self::EpochEnd(item) => Some(item.room),
            Self::Decided(item) => Some(item.room),
            Self::Welcome(item) => Some(item.room),
            Self::Undelivered(item) => Some(item.room),
            Self::Canary(_) => None,
        }
    }
}

/// The format's version, the first field of every envelope.
pub const ENVELOPE_VERSION: u16 = 1;

record! {
    /// A run of items from one relay to another. Its id is the SHA-256 of these bytes.
    pub struct Envelope {
        /// [`ENVELOPE_VERSION`].
        1 => version: u16,
        /// The relay that sends.
        2 => origin: Domain,
        /// The relay that it is for: an envelope is worth nothing to any other.
        3 => destination: Domain,
        /// The lane's class.
        4 => class: LaneClass,
        /// The lane's life; an origin that was restored from a copy starts another.
        5 => incarnation: Incarnation,
        /// The position of the first item.
        6 => first: LaneSeq,
        /// When it was made.
        7 => created: Millis,
        /// The items, each in its encoded form, so that it is stored and sealed up again without a copy of its parts.
        8 => items: List<Octets<MAX_ENVELOPE>, MAX_ENVELOPE_ITEMS>,
    }
}

impl Payload for Envelope {
    const LABEL: &'static str = crate::labels::ENVELOPE;
    const LIMIT: usize = MAX_ENVELOPE;
}

impl Envelope {
    /// The position behind the last item.
    #[must_use]
    pub fn next(&self) -> LaneSeq {
        LaneSeq(self.first.0 + self.items.len() as u64)
    }
}
