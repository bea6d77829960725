//! Which lane is worked on when: one scheduler for all destinations, as a state machine without I/O.
//!
//! A lane on which something waits is *ready* as soon as there is a session with its relay; without one its relay is
//! dialled, once for all its lanes, and after a failure again when the backoff ends. So a dead relay costs an entry, one
//! timer and one dial a time, whatever waits for it, and never a place among the streams.
//!
//! Streams that send hold a *place*, and there is a fixed number of them. Free places go round: the classes take turns by
//! weight, and within a class the relays one after another. When all places are taken and others wait, the lane that
//! has had its place longest gives it up as soon as its slice of time is over. A lane that has caught up keeps its
//! stream, but not its place, and takes one again when it is woken.
//!
//! Everything is told with `handle_…`, and [`Schedule::poll`] says what to do next, until it says nothing more. Time and
//! random bits are arguments. Nothing that was told is forgotten: a lane that was woken is looked at after that, or
//! still known to wait.

mod calls;
mod dials;
mod lanes;
mod machine;
mod peer;
mod places;
#[cfg(test)]
mod tests;
mod types;
#[cfg(test)]
mod world;

pub use machine::Schedule;
pub use types::{
    Bounds, Dialled, Ended, Load, MAX_ACTIVE, MAX_DIALS, MAX_IDLE, MAX_PEERS, MAX_REDIALS, SLICE_MS, Step,
    Wake,
};
