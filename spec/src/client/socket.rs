//! The WebSocket between a device and its relay: CBOR frames in binary messages.
//!
//! The client opens `GET /v1/socket` with its session token in the `Authorization` header and sends [`Hello`]. The
//! relay answers [`Ready`] and then pushes what waits in the mailbox, in order, up to its credit window; the client
//! acknowledges what it has made durable, cumulatively. Submits go the other way, numbered by the device; the relay
//! acknowledges them cumulatively once they are durable. A number that was refused is not used: it may be sent again.

use crate::cbor::{Octets, Text};
use crate::client::Refusal;
use crate::client::delivery::MAX_DELIVERY;
use crate::ids::{Epoch, Incarnation, MailboxSeq, Millis, Number, RoomId};
use crate::limits::{MAX_BODY, MAX_DETAIL};
use crate::name::Domain;
use crate::{choice, record};

/// The version of this protocol.
pub const SOCKET_VERSION: u16 = 1;

record! {
    /// The client's first frame.
    pub struct Hello {
        /// [`SOCKET_VERSION`].
        1 => version: u16,
        /// The vault's life.
        2 => incarnation: Incarnation,
        /// The last mailbox position that the vault holds; 0 for none.
        3 => acked: MailboxSeq,
        /// The last number that the vault has given to a submit; 0 for none.
        4 => last_number: Number,
    }
}

record! {
    /// A sealed message for a room.
    pub struct Submit {
        /// The room.
        1 => room: RoomId,
        /// The epoch in which it was sealed.
        2 => epoch: Epoch,
        /// The device's own count, without gaps.
        3 => number: Number,
        /// The MLS PrivateMessage, as an MLSMessage.
        4 => body: Octets<MAX_BODY>,
    }
}

record! {
    /// Everything up to this position is durable in the vault.
    pub struct DeviceAck {
        /// The position.
        1 => through: MailboxSeq,
    }
}

choice! {
    /// From client to relay.
    pub enum Up {
        /// First of all.
        1 => Hello(Hello),
        /// A message.
        2 => Submit(Submit),
        /// Progress.
        3 => Ack(DeviceAck),
    }
}

record! {
    /// The relay's answer to [`Hello`].
    pub struct Ready {
        /// The relay's domain.
        1 => domain: Domain,
        /// The last number of this incarnation that is durable here.
        2 => accepted: Number,
        /// How many submits may wait for their answer.
        3 => submit_window: u64,
        /// The last position that the device has acknowledged.
        4 => acked: MailboxSeq,
        /// The relay's clock.
        5 => now: Millis,
        /// The last position in the device's mailbox now, 0 for none: a device that holds it has caught up.
        6 => head: MailboxSeq,
    }
}

record! {
    /// A mailbox item.
    pub struct Push {
        /// Its position.
        1 => seq: MailboxSeq,
        /// The [`Delivery`](super::Delivery) in its encoded form.
        2 => item: Octets<MAX_DELIVERY>,
    }
}

record! {
    /// Everything up to this number is durable here, or was refused by its own frame.
    pub struct Accepted {
        /// The number.
        1 => through: Number,
    }
}

record! {
    /// A submit that was refused; its number is not used.
    pub struct Refused {
        /// The number.
        1 => number: Number,
        /// Why.
        2 => reason: Refusal,
        /// In words.
        3 => detail: Text<MAX_DETAIL>,
    }
}

record! {
    /// The relay closes the connection, and says why.
    pub struct Goodbye {
        /// Why.
        1 => reason: Refusal,
        /// In words, with what to do.
        2 => detail: Text<MAX_DETAIL>,
    }
}

choice! {
    /// From relay to client.
    pub enum Down {
        /// First of all.
        1 => Ready(Ready),
        /// A mailbox item.
        2 => Push(Push),
        /// Submits are durable.
        3 => Accepted(Accepted),
        /// A submit was refused.
        4 => Refused(Refused),
        /// The end.
        5 => Goodbye(Goodbye),
    }
}
