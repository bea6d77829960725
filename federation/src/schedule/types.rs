//! What a schedule is told, what it says, and its bounds.

use posthouse_spec::{Domain, Millis};

use crate::host::LaneId;

/// Streams that send at once.
pub const MAX_ACTIVE: usize = 256;
/// Streams that are kept open though nothing waits.
pub const MAX_IDLE: usize = 1024;
/// Relays that are dialled at once.
pub const MAX_DIALS: usize = 256;
/// Of these, such that could not be reached the last time: they leave room for those that probably can.
pub const MAX_REDIALS: usize = 64;
/// Relays for which anything waits or that are dialled, and of which the schedule knows at once.
pub const MAX_PEERS: usize = 65_536;
/// How long a lane may hold a place while others wait for one, milliseconds.
pub const SLICE_MS: u64 = 1_000;
/// How long a call that found no room waits for its next turn, milliseconds.
pub(super) const CROWDED_MS: u64 = 2_000;
/// The bounds of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Streams that send.
    pub active: usize,
    /// Streams that are kept open though nothing waits.
    pub idle: usize,
    /// Dials at once.
    pub dials: usize,
    /// Of these, to relays that could not be reached the last time.
    pub redials: usize,
    /// Relays.
    pub peers: usize,
    /// How long a lane may hold a place while others wait for one, milliseconds.
    pub slice_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            active: MAX_ACTIVE,
            idle: MAX_IDLE,
            dials: MAX_DIALS,
            redials: MAX_REDIALS,
            peers: MAX_PEERS,
            slice_ms: SLICE_MS,
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The lane has a place: its stream goes on, or is opened if there is none.
    Start(LaneId),
    /// The lane's stream is to end soon.
    Yield(LaneId),
    /// Dial the relay, or find that there is a session; then [`Schedule::handle_dialled`](super::Schedule::handle_dialled).
    Connect(Domain),
}

/// What a wake-up asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The lane's stream is at work and must look again.
    Nudge,
    /// The lane will have its turn.
    Noted,
    /// There are too many relays: wake it again later.
    Crowded,
}

/// Why a lane's stream ended, or never began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing more waits.
    Done,
    /// More waits: the place was given up, or there is a newer session.
    Yielded,
    /// There is no session.
    NoSession {
        /// Whether anything was acknowledged meanwhile.
        progress: bool,
    },
    /// The lane has begun another life.
    NewLife,
    /// The destination asks for a pause, milliseconds.
    Later(u64),
    /// Something else went wrong.
    Failed {
        /// Whether anything was acknowledged meanwhile.
        progress: bool,
    },
}

/// How a dial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialled {
    /// There is a session.
    Reached,
    /// There is none, and somebody else has said already when to try again.
    FailedUntil(Millis),
    /// There is none.
    Failed,
    /// The relay was not called, for want of room here. It is still to be, and nothing is held against it.
    Crowded,
}

/// How much a schedule has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Streams that send.
    pub active: usize,
    /// Streams that are open though nothing waits.
    pub idle: usize,
    /// Lanes that have a session and wait for a place.
    pub ready: usize,
    /// Relays that are dialled now.
    pub dialling: usize,
    /// Relays that the schedule knows.
    pub peers: usize,
}
