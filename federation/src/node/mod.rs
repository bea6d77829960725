//! The node: hello, sessions, lanes and requests over libp2p.
//!
//! One task owns the swarm (`network`) and takes orders: dial, open a stream on a connection, close. A *session* is a
//! connection on which both sides have said `hello`; `peers` knows them all. The `connector` makes one when there
//! is none: manifest from the `directory`, dial, hello. Each lane that has anything to send has a `worker`, which
//! carries it over the current session, and goes over to a newer one at once. What others open is taken up by
//! `inbound`: hellos, questions, and `deliveries`.
//!
//! A relay that has no public address keeps `reservations` with others and is called by circuit through them; libp2p's
//! `helpers` then punch a hole for a direct connection, on which hello is said anew. How this relay can be reached, as
//! far as others have tried, is in `reach`.
//!
//! Every task is tracked and ends with one token; [`Node::shutdown`] waits for all of them.

mod board;
mod chain;
mod conducts;
mod config;
mod connector;
mod contacts;
mod deliveries;
mod dial;
mod dial_failure;
mod directory;
mod evidence;
mod failures;
mod gossip;
mod handle;
mod hello;
mod helpers;
mod inbound;
mod lanes;
mod letting_back;
mod listeners;
mod mailbags;
mod network;
mod own;
mod peers;
mod probe;
mod reach;
mod renew;
mod requests;
mod reservations;
mod rumour;
mod start;
mod status;
mod tasks;
mod verdicts;
mod wire;
mod worker;

pub use conducts::ConductStatus;
pub use config::{Circuits, Clock, NodeConfig};
pub use evidence::{Repinned, Trust};
pub use handle::Federation;
pub use mailbags::Arrivals;
pub use probe::{Attempt, LookUp, ProbeReport, probe_from_outside};
pub use reach::{Reachability, ReservationStatus, Standing, TestedAddress};
pub use start::{Listening, Node};
pub use status::{Meeting, PeerStatus, RestoredLane, Way};
