//! The destination's end: what of a lane is new, and where it goes on.

use posthouse_spec::{Incarnation, LaneSeq, Millis};

/// Lives of one lane whose cursors are kept, the newest ones. An origin begins another life after a restore or an expiry, so
/// more than two are rare; the bound keeps an origin that invents lives from filling this relay's disk.
pub const MAX_LIVES: usize = 8;

/// What of a run of items is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It begins ahead of the cursor: nothing of it.
    Gap,
    /// All but the first `skip` items, which were taken before; the cursor then stands at `next`.
    Run {
        /// Items to leave out.
        skip: u64,
        /// The cursor afterwards.
        next: LaneSeq,
    },
}

/// Judges `count` items that begin at `first`, where `cursor` is expected.
#[must_use]
pub fn arrive(cursor: LaneSeq, first: LaneSeq, count: u64) -> Arrival {
    if first > cursor {
        return Arrival::Gap;
    }
    let end = LaneSeq(first.0.saturating_add(count));
    Arrival::Run { skip: (cursor.0 - first.0).min(count), next: cursor.max(end) }
}

/// Whether a single item is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It is the one that is expected, and the cursor moves behind it.
    First,
    /// The cursor has passed it.
    Repeat,
    /// It lies ahead of the cursor.
    Ahead,
}

/// Judges a single item.
#[must_use]
pub fn pass(cursor: LaneSeq, seq: LaneSeq) -> Pass {
    match seq.cmp(&cursor) {
        std::cmp::Ordering::Equal => Pass::First,
        std::cmp::Ordering::Less => Pass::Repeat,
        std::cmp::Ordering::Greater => Pass::Ahead,
    }
}

/// From where a lane goes on whose origin still has everything from its oldest item on: at the cursor, or before it at the
/// first item that was refused and that the origin still has, because it may not have heard of the refusal.
#[must_use]
pub fn resume_at(cursor: LaneSeq, first_refused: Option<LaneSeq>) -> LaneSeq {
    first_refused.map_or(cursor, |seq| cursor.min(seq))
}

/// Which lives of a lane are forgotten, given when each cursor last moved: all but the newest [`MAX_LIVES`].
#[must_use]
pub fn surplus(lives: &[(Incarnation, Millis)]) -> Vec<Incarnation> {
    let mut newest_first: Vec<_> = lives.iter().collect();
    newest_first.sort_by_key(|(_, touched)| std::cmp::Reverse(*touched));
    newest_first.into_iter().skip(MAX_LIVES).map(|(incarnation, _)| *incarnation).collect()
}
