//! The board on which the schedule of the lanes stands, shared by all that tell it something and all that it starts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use posthouse_spec::Millis;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::host::LaneId;
use crate::schedule::{MAX_IDLE, Schedule};

/// How the schedule reaches a stream that is open.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// There is news: something to send, or the wish that it ends.
    pub(crate) nudge: Notify,
    leave: AtomicBool,
}

impl Turn {
    /// Whether the stream is to end soon.
    pub(crate) fn is_over(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }

    /// The stream is to end soon.
    pub(crate) fn end(&self) {
        self.leave.store(true, Ordering::Release);
        self.nudge.notify_one();
    }
}

/// What stands on the board.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) schedule: Schedule,
    /// The streams that are open or being opened. The schedule bounds them.
    pub(crate) streams: HashMap<LaneId, Arc<Turn>>,
    /// Lanes whose two ends seem to stand apart: they are looked at even if nothing waits.
    pub(crate) suspects: HashSet<LaneId>,
    /// Lanes without a stream that were woken: how much waits on them is to be counted.
    pub(crate) uncounted: HashSet<LaneId>,
    /// A wake-up found no room and has to be repeated.
    pub(crate) crowded: bool,
    /// When the schedule wants to be asked next.
    pub(crate) timeout: Option<Millis>,
}

/// The board.
pub(crate) struct Board {
    state: Mutex<State>,
    begun: Instant,
    /// The schedule may have more to do, or at another time.
    pub(crate) poked: Notify,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), begun: Instant::now(), poked: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock leaves it half done, except where the schedule itself would panic; the
        // next scan of the outbox wakes every lane again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schedule's time: it runs evenly, whatever happens to the wall clock.
    pub(crate) fn now(&self) -> Millis {
        Millis(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The time on the board until which `wait` milliseconds pass.
    pub(crate) fn after(&self, wait: u64) -> Millis {
        self.now().after(wait)
    }

    /// A stream is about to look into the outbox. `false`: it has no place, and must wait.
    pub(crate) fn look(&self, lane: &LaneId) -> bool {
        self.lock().schedule.handle_look(lane)
    }

    /// A stream has found nothing more. `false`: it must look again.
    pub(crate) fn caught_up(&self, lane: &LaneId) -> bool {
        let mut state = self.lock();
        let idle = state.schedule.handle_caught_up(lane);
        let load = state.schedule.load();
        if idle && (load.ready > 0 || load.idle > MAX_IDLE) {
            // Its place is free for another one.
            self.poked.notify_one();
        }
        idle
    }

    /// Whether the lane's two ends seemed to stand apart; it is looked at now.
    pub(crate) fn take_suspicion(&self, lane: &LaneId) -> bool {
        self.lock().suspects.remove(lane)
    }
}
