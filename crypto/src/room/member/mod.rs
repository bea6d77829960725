//! The member's side of a room: everything that can decrypt.

mod keys;
mod room;

pub use keys::{KeyWrite, Keys};
pub use room::{LeafIdentity, NewKeyPackage, Opened, Proposed, Room, key_package};
