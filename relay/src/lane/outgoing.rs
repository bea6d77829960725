//! The origin's end: the numbers of a lane, whatever is written under them.

use posthouse_spec::{Incarnation, LaneSeq};

/// Where one outgoing lane stands. The items from `acked` up to, not including, `next` wait.
///
/// What has to be durable: `incarnation`, `next` and `acked`, in the transaction that puts an item under its number or
/// deletes what was acknowledged; and `sending`, before the first item since a start is given out. How far `handed` moves
/// between two starts lives in memory alone, and [`Ledger::restarted`] says what it is after a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// The lane's life. Positions of different lives have nothing to do with each other.
    pub incarnation: Incarnation,
    /// The position that the next item gets.
    pub next: LaneSeq,
    /// The oldest position that is not acknowledged.
    pub acked: LaneSeq,
    /// No item at this position or behind it has ever been given out to be sent. So a destination that expects more is
    /// ahead of what this relay remembers.
    pub handed: LaneSeq,
    /// Whether anything has been given out since the last start.
    pub sending: bool,
}

/// What an acknowledgement is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// The items from one position up to before another may go.
    Advanced {
        /// The first of them.
        from: LaneSeq,
        /// The position behind the last.
        to: LaneSeq,
    },
    /// It says nothing new.
    Repeat,
    /// It is of another life of the lane, or ahead of everything that was numbered: it counts for nothing.
    Stray,
}

impl Ledger {
    /// A lane that begins its first life.
    #[must_use]
    pub const fn begin(incarnation: Incarnation) -> Self {
        Self { incarnation, next: LaneSeq(1), acked: LaneSeq(1), handed: LaneSeq(1), sending: false }
    }

    /// A lane as a start finds it. How much was given out before the start is not remembered: at most everything that
    /// had a number then, and nothing more than before if nothing was. What is numbered from now on has certainly not been
    /// sent, and that is how a copy of the store that was put back is told from the store itself, even when new items have
    /// filled the same numbers again, and however often the relay is started before it meets the other one.
    #[must_use]
    pub const fn restarted(self) -> Self {
        let handed = if self.sending { self.next } else { self.handed };
        Self { handed, sending: false, ..self }
    }

    /// Gives the next item its position.
    pub fn number(&mut self) -> LaneSeq {
        let given = self.next;
        self.next = given.next();
        given
    }

    /// How many items wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.next.0.saturating_sub(self.acked.0)
    }

    /// Everything before `next` has been given out to be sent.
    pub fn hand_out(&mut self, next: LaneSeq) {
        self.sending = true;
        self.handed = self.handed.max(next);
    }

    /// Takes the word of the destination that everything before `next` is durable there. Acknowledged items may be
    /// deleted when this is written down, not before.
    pub fn acknowledge(&mut self, incarnation: Incarnation, next: LaneSeq) -> Acknowledged {
        if incarnation != self.incarnation || next > self.next {
            return Acknowledged::Stray;
        }
        if next <= self.acked {
            return Acknowledged::Repeat;
        }
        let from = std::mem::replace(&mut self.acked, next);
        Acknowledged::Advanced { from, to: next }
    }

    /// Begins another life with what still waits, numbered from 1 again. Returns by how much every position goes down.
    pub fn begin_life(&mut self, incarnation: Incarnation) -> u64 {
        let shift = self.acked.0.saturating_sub(1);
        let next = LaneSeq(self.next.0.saturating_sub(shift));
        *self = Self { next, ..Self::begin(incarnation) };
        shift
    }

    /// Gives up everything through a position, and begins another life with the rest: the destination would wait for
    /// ever for the positions that are gone. Returns by how much every position that is left goes down; `None` if
    /// nothing that waits lies there.
    pub fn expire(&mut self, through: LaneSeq, incarnation: Incarnation) -> Option<u64> {
        if through < self.acked {
            return None;
        }
        self.acked = through.next().min(self.next);
        Some(self.begin_life(incarnation))
    }
}
