//! What of each lane was given out to be sent since this process began: in memory. The store remembers that anything was.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use posthouse_spec::{Incarnation, LaneSeq};

use super::types::LaneId;

/// Lanes that are remembered. Of others it is not known what was sent, and a restore from a copy is noticed on them only
/// where not even the numbers reach.
const MAX_LANES: usize = 65_536;

/// How far the items of each lane were given out.
#[derive(Debug, Default)]
pub(crate) struct Handed(Mutex<HashMap<LaneId, (Incarnation, LaneSeq)>>);

impl Handed {
    /// Everything before `next` was given out.
    pub(crate) fn note(&self, lane: &LaneId, incarnation: Incarnation, next: LaneSeq) {
        // Every change is one step, so a holder that panicked leaves the map sound.
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((life, handed)) = lanes.get_mut(lane) {
            *handed = if *life == incarnation { next.max(*handed) } else { next };
            *life = incarnation;
        } else if lanes.len() < MAX_LANES {
            lanes.insert(lane.clone(), (incarnation, next));
        }
    }

    /// Whether anything of this life of a lane was given out.
    pub(crate) fn knows(&self, lane: &LaneId, incarnation: Incarnation) -> bool {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(lane).is_some_and(|(life, _)| *life == incarnation)
    }

    /// The position behind which nothing has left this relay, given the one at its start; `None` if that is not known.
    pub(crate) fn of(&self, lane: &LaneId, incarnation: Incarnation, at_start: LaneSeq) -> Option<LaneSeq> {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lanes.get(lane) {
            Some((life, handed)) if *life == incarnation => Some(at_start.max(*handed)),
            Some(_) => Some(at_start),
            None => (lanes.len() < MAX_LANES).then_some(at_start),
        }
    }
}
