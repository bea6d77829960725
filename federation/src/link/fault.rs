//! What ends a link.

use posthouse_spec::LaneSeq;
use posthouse_spec::cbor::Text;
use posthouse_spec::peer::hello::{PeerRefusal, PeerRule};

use crate::host::LaneState;

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
    /// The destination has more than ever left this relay, as far as it remembers. The lane begins another life.
    #[error(
        "the destination has items up to {theirs}, and this relay remembers only those up to {ours}: this relay's \
         data was restored from an older copy"
    )]
    RolledBack {
        /// The position that the destination expects next.
        theirs: LaneSeq,
        /// The position up to which items have left this relay.
        ours: LaneSeq,
    },
    /// The destination lost what it had acknowledged. The lane begins another life.
    #[error(
        "the destination asks for item {theirs}, which it acknowledged before and which is gone here (the oldest kept \
         is {oldest}): its data was restored from an older copy, or it has forgotten a lane that was silent for long"
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

impl LinkFault {
    /// Whose data was restored from a copy, where it is that.
    #[must_use]
    pub fn restored(&self) -> Option<Restored> {
        match self {
            Self::RolledBack { .. } => Some(Restored::Here),
            Self::Forgotten { .. } => Some(Restored::There),
            _ => None,
        }
    }
}

/// The side of a lane whose data was restored from an older copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// This relay.
    Here,
    /// The other one.
    There,
}

impl Restored {
    /// A word for metrics and for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::There => "there",
        }
    }
}

/// Compares where the two ends of one life of a lane stand; `theirs` is the position that the destination expects next.
///
/// # Errors
/// One of the two relays was restored from a copy, and the lane cannot go on in this life.
pub fn compare(state: &LaneState, theirs: LaneSeq) -> Result<(), LinkFault> {
    if theirs > state.handed.max(state.oldest) {
        return Err(LinkFault::RolledBack { theirs, ours: state.handed });
    }
    if theirs < state.oldest {
        return Err(LinkFault::Forgotten { theirs, oldest: state.oldest });
    }
    Ok(())
}
