//! The libp2p side: transports, limits, pings, and streams that belong to a known connection.
//!
//! Nothing of Posthouse's own rules is decided here. Requests and lanes use one small behaviour of our own
//! ([`streams`]) rather than libp2p's request-response and stream crates, for three reasons: `hello` is said for a
//! connection, so every stream must tell its connection and be opened on a chosen one (a connection to a process that
//! was killed may outlive its successor's first contact by seconds); a request whose frame breaks a rule is to be
//! answered with the rule's name; and inbound streams are to be bounded for each peer before they cost anything.
//!
//! A relay without a public address is reached by [`circuits`] through another. What libp2p does there on the word of
//! others stands behind a [`gate`], and is [`held`] back until hello is said.

mod circuits;
mod door;
mod gate;
mod gossip;
mod held;
mod identity;
mod protocol;
mod streams;
mod swarm;

pub(crate) use gossip::manifests;
pub use identity::peer_id;
pub(crate) use identity::{node_key_of, peer_of};
pub(crate) use protocol::Protocol;
pub(crate) use streams::{Admission, Inbound, OpenReply};
pub(crate) use swarm::{BehaviourEvent, Given, MAX_OWN_DIALS, RelaySwarm, build};
