//! Rooms: MLS groups (RFC 9420) as this protocol uses them.
//!
//! Handshake messages are public, so that every relay that takes part can follow the tree: that is the
//! [`Observer`], and it holds no secret. What decrypts stands behind the feature `member` in [`member`]; a relay is
//! built without it.
//!
//! Both sides turn a commit into the same [`Change`](posthouse_spec::policy::Change) and ask the same judge, so
//! that hub, relays and members agree on every commit.

mod change;
mod codec;
mod credential;
mod decision;
mod error;
mod leave;
mod message;
mod observer;
mod public_store;
mod suite;

#[cfg(feature = "member")]
pub mod member;

pub use credential::{KeyPackageInfo, RosterMember, inspect_key_package};
pub use decision::check_decided;
pub use error::{LeafClaimFault, LeaveFault, RoomError};
pub use message::{MessageInfo, MessageKind, inspect};
pub use observer::{Judged, Observer};
