//! `peers doctor`: what is wrong with the way to another relay, in the order in which one thing depends on another.
//!
//! The relay that runs looks for itself (`inside`): it probes with its own node, and sends a canary over its own lanes,
//! so that what is found is what messages meet. Where none runs, the command does what can be done from outside
//! (`outside`). Both put what they find into the same words (`steps`), and those into one report (`report`).

mod hints;
mod inside;
mod outside;
mod report;
mod steps;

pub use inside::inside;
pub use outside::outside;
pub use report::{Check, Report, Verdict};
