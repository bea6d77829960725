//! What of each lane was given out to be sent since this process began, and where its two ends have met: in memory. The
//! store remembers that anything was.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use posthouse_spec::{Incarnation, LaneSeq};

use super::types::LaneId;

/// Lanes that are remembered. Of others it is not known what was sent, and a restore from a copy is noticed on them only
/// where not even the numbers reach.
const MAX_LANES: usize = 65_536;
/// Lives of one lane that are remembered: the present one, and the one before it, of which a reader may still speak.
const MAX_LIVES: usize = 2;

/// One life of a lane.
#[derive(Debug)]
struct Life {
    incarnation: Incarnation,
    /// Everything before this was given out, if anything was.
    handed: Option<LaneSeq>,
    met: bool,
}

/// How far the items of each lane were given out. The lives of each stand in the order in which they were heard of.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<HashMap<LaneId, Vec<Life>>>);

impl Handed {
    fn lanes(&self) -> MutexGuard<'_, HashMap<LaneId, Vec<Life>>> {
        // Every change is one step, so a holder that panicked leaves the map sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, lane: &LaneId, incarnation: Incarnation, change: impl FnOnce(&mut Life)) {
        let mut lanes = self.lanes();
        if lanes.len() >= MAX_LANES && !lanes.contains_key(lane) {
            return;
        }
        let lives = lanes.entry(lane.clone()).or_default();
        if let Some(life) = lives.iter_mut().find(|life| life.incarnation == incarnation) {
            return change(life);
        }
        if lives.len() >= MAX_LIVES {
            lives.remove(0);
        }
        let mut life = Life { incarnation, handed: None, met: false };
        change(&mut life);
        lives.push(life);
    }

    /// Everything before `next` was given out.
    pub(crate) fn note(&self, lane: &LaneId, incarnation: Incarnation, next: LaneSeq) {
        self.change(lane, incarnation, |life| life.handed = life.handed.max(Some(next)));
    }

    /// Whether anything of this life of a lane was given out.
    pub(crate) fn knows(&self, lane: &LaneId, incarnation: Incarnation) -> bool {
        let is_known = |life: &Life| life.incarnation == incarnation && life.handed.is_some();
        self.lanes().get(lane).is_some_and(|lives| lives.iter().any(is_known))
    }

    /// The two ends have compared where they stand in this life, or it has only now begun.
    pub(crate) fn meet(&self, lane: &LaneId, incarnation: Incarnation) {
        self.change(lane, incarnation, |life| life.met = true);
    }

    /// Whether the two ends have met in this life; `None` if that cannot be remembered.
    pub(crate) fn have_met(&self, lane: &LaneId, incarnation: Incarnation) -> Option<bool> {
        let lanes = self.lanes();
        match lanes.get(lane) {
            Some(lives) => Some(lives.iter().any(|life| life.incarnation == incarnation && life.met)),
            None => (lanes.len() < MAX_LANES).then_some(false),
        }
    }

    /// The position behind which nothing has left this relay, given the one at its start; `None` if that is not known.
    pub(crate) fn of(&self, lane: &LaneId, incarnation: Incarnation, at_start: LaneSeq) -> Option<LaneSeq> {
        let lanes = self.lanes();
        match lanes.get(lane) {
            Some(lives) => {
                let life = lives.iter().find(|life| life.incarnation == incarnation);
                Some(life.and_then(|life| life.handed).map_or(at_start, |handed| at_start.max(handed)))
            }
            None => (lanes.len() < MAX_LANES).then_some(at_start),
        }
    }
}

#[cfg(test)]
mod tests {
    use posthouse_spec::envelope::LaneClass;

    use super::*;

    #[test]
    fn a_late_reader_of_an_earlier_life_takes_nothing_from_the_present_one() {
        let (old, new) = (Incarnation::new([1; 16]), Incarnation::new([2; 16]));
        let lane = LaneId { peer: "b.example".parse().unwrap(), class: LaneClass::Messages };
        let handed = Handed::default();
        handed.note(&lane, old, LaneSeq(9));
        handed.note(&lane, new, LaneSeq(4));
        handed.note(&lane, old, LaneSeq(10));
        assert_eq!(handed.of(&lane, new, LaneSeq(1)), Some(LaneSeq(4)));
        handed.note(&lane, Incarnation::new([3; 16]), LaneSeq(2));
        assert!(!handed.knows(&lane, old) && handed.knows(&lane, new), "the oldest is forgotten");
    }

    #[test]
    fn a_meeting_says_nothing_of_what_was_given_out() {
        let life = Incarnation::new([1; 16]);
        let lane = LaneId { peer: "b.example".parse().unwrap(), class: LaneClass::Messages };
        let handed = Handed::default();
        assert_eq!(handed.have_met(&lane, life), Some(false));
        handed.meet(&lane, life);
        assert!(handed.have_met(&lane, life) == Some(true) && !handed.knows(&lane, life));
        assert_eq!(handed.of(&lane, life, LaneSeq(7)), Some(LaneSeq(7)));
    }
}
