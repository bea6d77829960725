//! `/posthouse/mailbag/1`: envelopes for a relay that is down, left with a relay that holds them for it.
//!
//! The destination names its holders and a seal key in its manifest. An origin that cannot reach it seals a signed
//! envelope to that key and leaves it with a holder; the holder learns origin, destination, sizes and times, and nothing
//! else. The destination lists what is held at its return, takes each bag, and has it dropped once its envelope is durable.
//! The envelope in a bag is as good as one on a lane: the lane's cursor drops what came by both ways.

use crate::cbor::{List, Octets};
use crate::ids::{EnvelopeId, Millis};
use crate::limits::{MAX_MAILBAG, MAX_MAILBAG_LIST};
use crate::name::Domain;
use crate::peer::hello::PeerRefusal;
use crate::{choice, record};

/// The libp2p protocol name.
pub const PROTOCOL: &str = "/posthouse/mailbag/1";

record! {
    /// One envelope, sealed to the relay that it is for: HPKE in base mode to the key of its manifest's mailbag offer. The
    /// associated data is the CBOR of this record with an empty `sealed`.
    pub struct Mailbag {
        /// The relay that leaves it.
        1 => origin: Domain,
        /// The relay that it is for.
        2 => destination: Domain,
        /// The id of the envelope inside.
        3 => envelope: EnvelopeId,
        /// When it may be thrown away.
        4 => expires: Millis,
        /// The encapsulated key and the sealed COSE_Sign1 of the envelope.
        5 => sealed: Octets<MAX_MAILBAG>,
    }
}

record! {
    /// Names one mailbag that is held.
    pub struct MailbagRef {
        /// The relay that left it.
        1 => origin: Domain,
        /// The id of the envelope inside.
        2 => envelope: EnvelopeId,
        /// Its length, bytes.
        3 => size: u64,
    }
}

choice! {
    /// What is asked of a holder. The asking relay is the origin when it leaves, and the destination otherwise.
    pub enum MailbagRequest {
        /// Hold this.
        1 => Leave(Mailbag),
        /// What is held for me? The oldest so many; of more than a list holds the last part, counted in whole lists.
        2 => List(u64),
        /// Give me this one.
        3 => Take(MailbagRef),
        /// These are durable here: drop them.
        4 => Drop(List<MailbagRef, MAX_MAILBAG_LIST>),
    }
}

record! {
    /// What is held for the asking relay.
    pub struct MailbagList {
        /// The oldest mailbags, in the order in which they were left.
        1 => held: List<MailbagRef, MAX_MAILBAG_LIST>,
        /// How many are held in all.
        2 => total: u64,
    }
}

choice! {
    /// The holder's answer.
    pub enum MailbagResponse {
        /// To `Leave`: it is durable here, until this time at least.
        1 => Held(Millis),
        /// To `List`.
        2 => List(MailbagList),
        /// To `Take`; empty when it is not held any more.
        3 => Mailbag(List<Mailbag, 1>),
        /// To `Drop`: how many were dropped.
        4 => Dropped(u64),
        /// No, with the rule and what to do.
        5 => Rejected(PeerRefusal),
    }
}
