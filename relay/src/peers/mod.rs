//! Other relays as the operator sees them: the rules on them, and what is known of each.
//!
//! Everything here works with a relay that runs and with the store alone of one that does not; then what only a running
//! relay knows is left out. [`rules`] is the operator's word, [`facts`] what is told, [`gather`] where it is found.

pub mod facts;
pub mod gather;
pub mod rules;
pub mod stopped;
