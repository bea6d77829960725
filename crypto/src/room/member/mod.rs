//! The member's side of a room: everything that can decrypt.
//!
//! [`Keys`] holds every MLS secret of a device and yields what its vault must write; a [`Room`] is one group over
//! it. An operation that fails leaves the keys as they were. After [`Keys::rollback`] rooms must be loaded again,
//! because they hold a copy of what was rolled back.

mod commit;
mod config;
mod keys;
mod leaf;
mod leaving;
mod notes;
mod rejoin;
mod room;
mod rows;
mod sealed;
mod storage;

pub use commit::{Proposed, Wish};
pub use keys::Keys;
pub use leaf::{LeafIdentity, NewKeyPackage, key_package};
pub use room::Room;
pub use rows::KeyWrite;
pub use sealed::Opened;
