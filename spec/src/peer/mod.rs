//! What relays say to each other, one file for each libp2p protocol.
//!
//! Every frame on a stream is a varint length (unsigned LEB128, as libp2p writes it) and a CBOR value. A request
//! stream carries one request and one response; a deliver stream carries frames both ways for as long as it lives.

pub mod deliver;
pub mod hello;
pub mod keys;
pub mod mailbag;
pub mod room;

pub use deliver::{DeliverFrame, ReceiptFrame};
pub use hello::Hello;
pub use keys::{KeysRequest, KeysResponse};
pub use mailbag::{MailbagRequest, MailbagResponse};
pub use room::{RoomRequest, RoomResponse};
