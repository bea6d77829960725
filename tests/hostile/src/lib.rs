//! A relay of our own making that speaks libp2p and means no good, for tests and load runs.
//!
//! [`peer`] can say anything at any time, one thing after the other. [`flood`] says all of it at once, as fast as it can.
//! [`burden`] keeps every rule, and sends as much as the rules let it.

pub mod burden;
pub mod flood;
pub mod peer;
