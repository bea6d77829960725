//! One lane between two relays, as two state machines without I/O.
//!
//! The origin's [`Sender`] opens the lane; the destination's [`Receiver`] answers with its cursor and credit. Then
//! envelopes flow one way and cumulative acknowledgements the other, and after any break both start again from the
//! receiver's cursor. So an item may travel often, and takes effect once.
//!
//! Both sides only `handle` what happened and are `poll`ed for what to do next. They never wait, read no clock and draw
//! no randomness: a test drives a world of two through any fault it likes, and the node drives the same code.

mod fault;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use fault::{LinkFault, Restored, Violation, compare};
pub use receiver::{Arrival, Receiver};
pub use sender::{Fetch, Lane, Progress, Sender};
