//! What ends a link.

use posthouse_spec::LaneSeq;
use posthouse_spec::cbor::Text;
use posthouse_spec::peer::hello::{PeerRefusal, PeerRule};

/// A rule that the other side broke, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// The rule.
    pub rule: PeerRule,
    /// What was expected and what came, for the operator of the other side.
    pub detail: String,
}

impl Violation {
    /// Names the rule and what was seen.
    #[must_use]
    pub fn new(rule: PeerRule, detail: impl std::fmt::Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl From<Violation> for PeerRefusal {
    fn from(violation: Violation) -> Self {
        Self { rule: violation.rule, detail: Text::clipped(&violation.detail) }
    }
}

/// Why the origin's side of a link cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// The destination broke a rule of the protocol.
    #[error("the destination broke a rule: {0}")]
    Violation(#[from] Violation),
    /// The destination has more than the outbox ever held.
    #[error(
        "the destination has items up to {theirs}, this relay has numbered only up to {ours}: its data was restored \
         from an older copy, and the lane needs a new incarnation"
    )]
    RolledBack {
        /// The position that the destination expects next.
        theirs: LaneSeq,
        /// The position that the outbox gives next.
        ours: LaneSeq,
    },
    /// The destination lost what it had acknowledged.
    #[error(
        "the destination asks for item {theirs}, which it acknowledged before and which is gone here (the oldest kept \
         is {oldest}): its data was restored from an older copy"
    )]
    Forgotten {
        /// The position that the destination expects next.
        theirs: LaneSeq,
        /// The oldest item that is kept.
        oldest: LaneSeq,
    },
    /// The outbox gave other items than it was asked for.
    #[error("the outbox was asked for items from {expected} on and gave {found}")]
    Outbox {
        /// The position that was asked for.
        expected: LaneSeq,
        /// The position that came.
        found: LaneSeq,
    },
    /// An item that no envelope can carry.
    #[error("item {seq} of {len} bytes is larger than an envelope may be")]
    TooLong {
        /// Its position.
        seq: LaneSeq,
        /// Its length, bytes.
        len: usize,
    },
    /// The destination grants less than the next envelope needs, though nothing is in flight.
    #[error("the destination grants {granted} bytes, the next envelope needs {needed}")]
    NarrowWindow {
        /// Bytes granted.
        granted: u64,
        /// Bytes needed.
        needed: u64,
    },
}
