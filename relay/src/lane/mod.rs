//! The pure rules of lanes, on both ends: what is numbered and acknowledged at the origin, and what the destination
//! takes of what comes. The store asks them and writes down what they say; a simulation drives the same rules over a
//! store of its own.

mod incoming;
mod outgoing;

pub use incoming::{Arrival, MAX_LIVES, Pass, arrive, pass, resume_at, surplus};
pub use outgoing::{Acknowledged, Ledger};

#[cfg(test)]
mod tests;
