//! What a client and its relay say to each other.
//!
//! The WebSocket ([`socket`]) carries submits, pushes and acknowledgements as CBOR frames; HTTP ([`http`]) carries the
//! rest as JSON. What a mailbox holds is a [`delivery::Delivery`].

pub mod delivery;
pub mod http;
pub mod socket;

pub use delivery::Delivery;
pub use socket::{Down, Up};

use crate::codes;

codes! {
    /// Why a relay refuses what a client, or a relay on behalf of one, asks for.
    pub enum Refusal {
        /// The room has moved on; catch up, seal again, send again.
        1 => StaleEpoch = "stale-epoch",
        /// The number was used for another body.
        2 => NumberReused = "number-reused",
        /// A number before this one is missing.
        3 => NumberGap = "number-gap",
        /// The device is not on the room's roster.
        4 => NotMember = "not-a-member",
        /// The relay does not know the room.
        5 => UnknownRoom = "unknown-room",
        /// The body is larger than the limit.
        6 => TooLarge = "too-large",
        /// A quota is used up.
        7 => Quota = "quota-exceeded",
        /// The relay is overloaded; try again later.
        8 => Busy = "busy",
        /// The room's policy forbids the change (the detail names the rule).
        9 => Policy = "policy",
        /// The MLS message does not hold (the detail says why).
        10 => InvalidCommit = "invalid-commit",
        /// No account or alias of this name.
        11 => UnknownAccount = "unknown-account",
        /// The name is taken by another account.
        12 => AliasTaken = "alias-taken",
        /// The signature, chain or claim does not hold.
        13 => InvalidSignature = "invalid-signature",
        /// The other relay cannot be reached now.
        14 => RelayUnreachable = "relay-unreachable",
        /// The domain is not a relay that can be found or trusted.
        15 => UnknownRelay = "unknown-relay",
        /// The token is missing, wrong or expired: log in again.
        16 => Unauthenticated = "unauthenticated",
        /// The invite token is missing, wrong or used up.
        17 => InvalidInvite = "invalid-invite",
        /// The relay does not take registrations of this kind.
        18 => RegistrationClosed = "registration-closed",
        /// The request is not well formed (the detail names the rule).
        19 => Malformed = "malformed",
        /// The vault was restored from a copy: enrol as a new device.
        20 => RolledBack = "rolled-back",
        /// A claim or statement is too old or from the future: check the clock.
        21 => ClockSkew = "clock-skew",
        /// A Welcome without a valid ticket.
        22 => NoTicket = "no-ticket",
        /// A chain event does not extend the head that the relay has.
        23 => ChainConflict = "chain-conflict",
        /// The same account or room exists already with other content.
        24 => Conflict = "conflict",
        /// Too many requests of this kind.
        25 => RateLimited = "rate-limited",
        /// The client's version is not spoken here.
        26 => Version = "unsupported-version",
        /// Another connection of the same device took over.
        27 => Superseded = "superseded",
        /// The relay failed inside; nothing was changed.
        28 => Internal = "internal",
        /// The relay is shutting down.
        29 => ShuttingDown = "shutting-down",
        /// No such resource.
        30 => NotFound = "not-found",
    }
}

impl serde::Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Refusal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|refusal| refusal.name() == name)
            .ok_or_else(|| serde::de::Error::custom("a refusal's name"))
    }
}
