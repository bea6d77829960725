//! Rooms with a member whose MLS is another implementation: mls-rs.
//!
//! Alice and Bob use our member's side, Olga mls-rs, and the hub our observer. Olga's side is made from `spec/rooms.md`: the
//! credential, the room context, the padding and the words of who leaves are this protocol's, and everything else is
//! left to mls-rs. After each commit all of them must see the same tree, and a GroupInfo of either side must be the
//! state that the observer came to by itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod changing;
mod differing;
mod leaving;
mod other;
mod ours;
mod person;
mod talking;
mod world;
