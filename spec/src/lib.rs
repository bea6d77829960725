//! The Posthouse protocol as types: ids, limits, labels, and every frame that crosses a socket or is signed.
//!
//! Nothing here does I/O or cryptography. A value of these types has passed the *form* checks of the protocol
//! (canonical encoding, limits, known fields); whether a signature holds is for `posthouse-crypto` to say, which
//! returns other types for what it has verified.
//!
//! The story, bottom up: [`cbor`] reads and writes canonical bytes; [`sign1`] wraps a payload in COSE_Sign1 under a
//! [`labels`] entry; [`account`] and [`manifest`] say who people and relays are; [`content`] is what people say to
//! each other; [`room`] and [`policy`] are what a room agrees on; [`envelope`] is what relays hand each other,
//! over the protocols in [`peer`]; [`client`] is what a client and its relay say to each other.

pub mod account;
pub mod cbor;
pub mod client;
pub mod content;
pub mod envelope;
pub mod ids;
pub mod labels;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod peer;
pub mod policy;
pub mod room;
pub mod sign1;

pub use cbor::{Cbor, Malformed};
pub use ids::*;
pub use name::{Alias, AliasName, Domain};
pub use sign1::{Payload, Signed};
