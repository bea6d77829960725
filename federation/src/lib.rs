//! Relay to relay: how envelopes travel between domains, in order and exactly once in effect.
//!
//! The story, bottom up. [`link`] is one lane between two relays as a pure state machine: who may send how much, what is
//! acknowledged, what breaks a rule. [`retry`] says when to try again, [`policy`] with whom to talk at all, [`budget`] how much one
//! relay may have of another and [`conduct`] what follows for one that misbehaves. [`codec`]
//! cuts a stream into frames and refuses a length before it allocates for it. `behaviour` is the libp2p side: QUIC
//! first, TCP + Noise + Yamux as the fall-back, and streams that belong to a known connection. [`discovery`] finds a
//! domain's manifest. [`node`] puts them together: it says hello, keeps sessions, works the lanes, and answers
//! requests. What the relay itself must bring stands in [`host`] as traits.

mod behaviour;
pub mod budget;
pub mod codec;
pub mod conduct;
pub mod discovery;
pub mod error;
pub mod host;
pub mod link;
pub mod node;
pub mod policy;
pub mod retry;
pub mod schedule;

pub use behaviour::peer_id;
pub use budget::PeerLimits;
pub use conduct::Treatment;
pub use error::{BindError, PeerError};
pub use host::{
    Evidence, Host, HostError, Inbox, LaneId, LaneState, OutboundItem, Outbox, Pins, ReceiveError, Received,
    Service,
};
pub use node::{
    Arrivals, Attempt, Circuits, Clock, ConductStatus, Federation, Listening, LookUp, Meeting, Node,
    NodeConfig, PeerStatus, ProbeReport, Reachability, Repinned, ReservationStatus, RestoredLane, Standing,
    TestedAddress, Trust, Way, probe_from_outside,
};
pub use policy::{Policy, Rule};
