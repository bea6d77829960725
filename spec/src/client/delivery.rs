//! What a mailbox holds: the items that wait for one device, in order.

use crate::account::{Invited, KeyClaim};
use crate::cbor::{List, Octets, Text};
use crate::ids::{Epoch, Millis, Number, RoomId};
use crate::limits::{MAX_BODY, MAX_DETAIL, MAX_DEVICES, MAX_HANDSHAKE};
use crate::name::Domain;
use crate::room::Decided;
use crate::sign1::Signed;
use crate::{choice, codes, record};

/// Largest delivery, bytes: a Welcome with its group info.
pub const MAX_DELIVERY: usize = 2 * MAX_HANDSHAKE + 32 * 1024;

record! {
    /// A sealed message.
    pub struct MessageDelivery {
        /// The room.
        1 => room: RoomId,
        /// The relay that it came from.
        2 => origin: Domain,
        /// The epoch in which it was sealed.
        3 => epoch: Epoch,
        /// The MLS PrivateMessage, as an MLSMessage.
        4 => body: Octets<MAX_BODY>,
        /// When this relay took it.
        5 => received: Millis,
    }
}

record! {
    /// A decided commit; the relay has applied it already.
    pub struct DecidedDelivery {
        /// The room.
        1 => room: RoomId,
        /// The commit and the decision.
        2 => decided: Decided,
        /// The relays on the roster of the epoch that this ends: each will say `EpochEnd` for it.
        3 => relays: List<Domain, { crate::limits::MAX_LEAVES }>,
    }
}

record! {
    /// An invitation to a room.
    pub struct WelcomeDelivery {
        /// The room.
        1 => room: RoomId,
        /// Who claimed the key package: the claim that the ticket was given for.
        2 => claim: Signed<KeyClaim>,
        /// The commit that added this device, with its decision.
        3 => decided: Decided,
        /// The MLS Welcome.
        4 => welcome: Octets<MAX_HANDSHAKE>,
        /// The MLS GroupInfo with the ratchet tree.
        5 => group_info: Octets<MAX_HANDSHAKE>,
        /// Which devices of the account are invited by it.
        6 => invited: List<Invited, MAX_DEVICES>,
        /// When this relay took it.
        7 => received: Millis,
    }
}

record! {
    /// A relay has sent its last message of an epoch.
    pub struct EpochEndDelivery {
        /// The room.
        1 => room: RoomId,
        /// The relay.
        2 => origin: Domain,
        /// The epoch.
        3 => epoch: Epoch,
    }
}

codes! {
    /// What became of a message that was accepted and could not be delivered everywhere.
    pub enum Failure {
        /// It waited longer than the retention for a relay.
        1 => Expired = "expired",
        /// A relay refused it: its recipients' mailboxes are full.
        2 => Quota = "quota-exceeded",
        /// A relay refused it for another reason (the detail says which).
        3 => Refused = "refused",
        /// It lay in a gap that an origin could not fill after a restore.
        4 => Lost = "lost",
    }
}

record! {
    /// Tells a sender what became of a message of theirs.
    pub struct NoticeDelivery {
        /// The room.
        1 => room: RoomId,
        /// The sender's own number of the message.
        2 => number: Number,
        /// The relay at which it failed.
        3 => relay: Domain,
        /// What happened.
        4 => failure: Failure,
        /// In words.
        5 => detail: Text<MAX_DETAIL>,
    }
}

choice! {
    /// One item of a mailbox.
    #[expect(clippy::large_enum_variant, reason = "one lives at a time, and most of it is on the heap anyway")]
    pub enum Delivery {
        /// A message.
        1 => Message(MessageDelivery),
        /// A commit.
        2 => Decided(DecidedDelivery),
        /// An invitation.
        3 => Welcome(WelcomeDelivery),
        /// The end of an epoch at one relay.
        4 => EpochEnd(EpochEndDelivery),
        /// Word of a failure.
        5 => Notice(NoticeDelivery),
    }
}
