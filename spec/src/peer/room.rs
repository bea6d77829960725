//! `/posthouse/room/1`: a relay submits a commit to a room's hub, or asks it for what it lacks.

use crate::cbor::{List, Octets, Text};
use crate::client::Refusal;
use crate::ids::{Epoch, RoomId};
use crate::limits::{MAX_DECISIONS, MAX_DETAIL, MAX_HANDSHAKE};
use crate::peer::hello::PeerRefusal;
use crate::room::{CommitUpload, Decided};
use crate::{choice, record};

/// The libp2p protocol name.
pub const PROTOCOL: &str = "/posthouse/room/1";

record! {
    /// Asks for the commits from an epoch on.
    pub struct FetchDecisions {
        /// The room.
        1 => room: RoomId,
        /// The first epoch whose end is asked for.
        2 => from: Epoch,
    }
}

record! {
    /// A room's commits in order; fewer than there are when they would pass the frame's limit.
    pub struct Decisions {
        /// The commits with their decisions.
        1 => decided: List<Decided, MAX_DECISIONS>,
        /// The hub's epoch.
        2 => epoch: Epoch,
    }
}

choice! {
    /// What is asked of the hub. A relay answers only for rooms in which the asking relay takes part.
    #[expect(clippy::large_enum_variant, reason = "one lives at a time, and most of it is on the heap anyway")]
    pub enum RoomRequest {
        /// Decide this commit.
        1 => Commit(CommitUpload),
        /// Decisions from an epoch on.
        2 => Decisions(FetchDecisions),
        /// The current group info with the tree.
        3 => Tree(RoomId),
    }
}

record! {
    /// No, with the reason; for a stale epoch, with the decision that ended it.
    pub struct RoomRefusal {
        /// The reason.
        1 => reason: Refusal,
        /// In words.
        2 => detail: Text<MAX_DETAIL>,
        /// What was decided instead.
        3 => decided: Option<Decided>,
    }
}

choice! {
    /// The hub's answer.
    pub enum RoomResponse {
        /// To `Commit`: it is decided.
        1 => Decided(Decided),
        /// To `Decisions`.
        2 => Decisions(Decisions),
        /// To `Tree`.
        3 => Tree(Octets<MAX_HANDSHAKE>),
        /// The question is fine, but the answer is no.
        4 => Refused(RoomRefusal),
        /// The asking relay broke a rule.
        5 => Rejected(PeerRefusal),
    }
}
