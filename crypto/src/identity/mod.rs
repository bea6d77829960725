//! Accounts: from a chain of signed events to who may speak for an account.
//!
//! A chain is checked event by event from Genesis on; what each may do and who must sign it stands in
//! [`posthouse_spec::account`]. The result keeps, for every position, which devices were active there, because a leaf
//! claim names a position and may be older than the chain's end.

mod account;
mod author;
mod error;
mod record;
mod safety;

pub use account::Account;
pub use author::{add_device, genesis, revoke_device, rotate_recovery, set_home};
pub use error::IdentityError;
pub use record::{KnownAccount, verify_record};
pub use safety::safety_number;
