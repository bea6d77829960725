//! `/posthouse/hello/1`: who both sides are, before anything else is said.
//!
//! The dialler sends its [`Hello`], the listener answers with its own. Each checks the other's manifest (pinned, or
//! followed along its chain) and that the connection's PeerId is one of its nodes.

use crate::cbor::{List, Text};
use crate::envelope::LaneClass;
use crate::ids::{Incarnation, LaneSeq, Millis};
use crate::limits::MAX_DETAIL;
use crate::manifest::Manifest;
use crate::sign1::Signed;
use crate::{choice, codes, record};

/// The libp2p protocol name.
pub const PROTOCOL: &str = "/posthouse/hello/1";
/// The highest peer protocol version that this code speaks.
pub const PEER_VERSION: u16 = 2;
/// The lowest peer protocol version that this code speaks.
pub const MIN_PEER_VERSION: u16 = 1;

record! {
    /// Where the receiver of a lane stands.
    pub struct LaneCursor {
        /// The lane's class.
        1 => class: LaneClass,
        /// The lane's life.
        2 => incarnation: Incarnation,
        /// The position that it expects next.
        3 => next: LaneSeq,
    }
}

record! {
    /// A relay introduces itself.
    pub struct Hello {
        /// The lowest version that it speaks.
        1 => min_version: u16,
        /// The highest version that it speaks.
        2 => max_version: u16,
        /// Its manifest.
        3 => manifest: Signed<Manifest>,
        /// Its clock.
        4 => now: Millis,
        /// Its cursors of the lanes from the other side.
        5 => cursors: List<LaneCursor, 16>,
    }
}

codes! {
    /// The rule that a peer broke, as it is told and as the log names it.
    pub enum PeerRule {
        /// The bytes are not a well-formed frame of the protocol.
        1 => Malformed = "malformed-frame",
        /// A frame is longer than its limit.
        2 => FrameTooLong = "frame-too-long",
        /// No hello has been said on this connection.
        3 => NoHello = "no-hello",
        /// No version that both sides speak.
        4 => Version = "no-common-version",
        /// The manifest's signature does not hold.
        5 => ManifestSignature = "manifest-signature",
        /// The manifest does not follow the one that is pinned for the domain.
        6 => ManifestChain = "manifest-chain",
        /// The connection's PeerId is not a node of the manifest.
        7 => NotANode = "not-a-node",
        /// The two clocks are too far apart.
        8 => ClockSkew = "clock-skew",
        /// The envelope's origin is not the relay that said hello.
        9 => ForgedOrigin = "forged-origin",
        /// The envelope is for another relay.
        10 => WrongDestination = "wrong-destination",
        /// The envelope's signature does not hold.
        11 => EnvelopeSignature = "envelope-signature",
        /// The first position lies ahead of the cursor.
        12 => Gap = "sequence-gap",
        /// The envelope is not of the lane that the stream was opened for.
        13 => WrongLane = "wrong-lane",
        /// More was sent than the credit allowed.
        14 => OverCredit = "over-credit",
        /// More streams than one peer may have open.
        15 => TooManyStreams = "too-many-streams",
        /// An item that this class of lane does not carry.
        16 => WrongItem = "wrong-item",
        /// The operator does not federate with this domain.
        17 => NotAllowed = "not-allowed",
        /// A domain's manifest could not be found or checked.
        18 => UnknownDomain = "unknown-domain",
        /// Frames of the protocol in an order that it does not have.
        19 => OutOfTurn = "out-of-turn",
        /// The receiver could not take it now; nothing is wrong with the peer.
        20 => Unavailable = "unavailable",
        /// More than this relay takes from one peer in that time; the peer is slowed down.
        21 => TooFast = "too-fast",
        /// Too many rules were broken: this relay talks to the peer again after a time.
        22 => CutOff = "cut-off",
        /// Two manifests of one position: evidence, until the operator has decided.
        23 => Equivocation = "equivocation",
        /// The holder's space for mailbags is used up, for this destination or for all.
        24 => HolderFull = "holder-full",
        /// This relay holds no mailbags for that destination.
        25 => NotAHolder = "not-a-holder",
        /// A gossiped message that this relay would not pass on.
        26 => BadGossip = "bad-gossip",
    }
}

impl PeerRule {
    /// The rule as a relay of this version knows it: version 1 has the codes up to 20, and reads no others.
    #[must_use]
    pub fn for_version(self, version: u16) -> Self {
        match self {
            rule if version >= 2 => rule,
            Self::TooFast | Self::CutOff | Self::HolderFull => Self::Unavailable,
            Self::Equivocation => Self::ManifestChain,
            Self::NotAHolder => Self::NotAllowed,
            Self::BadGossip => Self::Malformed,
            rule => rule,
        }
    }
}

record! {
    /// A refusal, with the rule's name and what to do about it in words.
    pub struct PeerRefusal {
        /// The rule.
        1 => rule: PeerRule,
        /// The explanation for the operator of the other side.
        2 => detail: Text<MAX_DETAIL>,
    }
}

choice! {
    /// The listener's answer.
    pub enum HelloResponse {
        /// Its own introduction.
        1 => Hello(Hello),
        /// Why it will not talk.
        2 => Refused(PeerRefusal),
    }
}
