//! The node: hello, sessions, lanes and requests over libp2p.
//!
//! One task owns the swarm (`network`) and takes orders: dial, open a stream on a connection, close. A *session* is a
//! connection on which both sides have said `hello`; `peers` knows them all. The `connector` makes one when there
//! is none: manifest from the `directory`, dial, hello. Each lane that has anything to send has a `worker`, which
//! carries it over the current session, and goes over to a newer one at once. What others open is taken up by
//! `inbound`: hellos, questions, and `deliveries`.
//!
//! Every task is tracked and ends with one token; [`Node::shutdown`] waits for all of them.

mod config;
mod connector;
mod deliveries;
mod dial;
mod directory;
mod handle;
mod hello;
mod inbound;
mod lanes;
mod mailbags;
mod network;
mod own;
mod peers;
mod renew;
mod requests;
mod start;
mod tasks;
mod wire;
mod worker;

pub use config::{Clock, NodeConfig};
pub use handle::Federation;
pub use mailbags::Contacts;
pub use peers::{Meeting, PeerStatus, Way};
pub use start::{Listening, Node};
