//! People and their devices at this relay: registration, login, look-up, key packages and claims.
//!
//! Each file is one thing that a client or another relay may ask. All that is written in somebody's name is checked
//! against their chain first; nobody's word is taken for who they are.

mod bindings;
mod blocks;
mod challenges;
mod claims;
mod key_packages;
mod login;
mod lookup;
mod peers;
mod register;
mod service;

pub use login::NewSession;
pub use lookup::Found;
pub use service::Accounts;

pub(crate) use service::store_failed;
