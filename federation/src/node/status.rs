//! What the operator is told of other relays.

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};

use super::conducts::ConductStatus;
use crate::link::Restored;

/// By which way a connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Over which transport: `quic`, `tcp`, or `circuit` through another relay.
    pub via: &'static str,
    /// The other end's address.
    pub address: String,
    /// Whether the other relay has called.
    pub inbound: bool,
}

/// What a relay said of itself in its last hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// When that was.
    pub at: Millis,
    /// The versions that it speaks, from and to.
    pub versions: (u16, u16),
    /// Its clock then.
    pub clock: Millis,
}

impl Meeting {
    /// How far its clock is ahead of this relay's, milliseconds; below zero where it is behind.
    #[must_use]
    pub fn ahead_ms(&self) -> i64 {
        self.clock.0.cast_signed().wrapping_sub(self.at.0.cast_signed())
    }
}

/// What is known of another relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The relay.
    pub domain: Domain,
    /// Whether a connection stands on which both have said hello.
    pub connected: bool,
    /// By which way, while it is connected.
    pub way: Option<Way>,
    /// Its last hello.
    pub meeting: Option<Meeting>,
    /// Items that wait for it, by lane class.
    pub backlog: Vec<(LaneClass, u64)>,
    /// What went wrong last, while it is not connected.
    pub last_error: Option<String>,
    /// When it is tried again, while it is not connected.
    pub retry_at: Option<Millis>,
    /// The last lane to it that had to begin another life, because one of the two relays was restored from a copy.
    pub restored: Option<RestoredLane>,
    /// How it has behaved, if it has broken any rule of late.
    pub conduct: Option<ConductStatus>,
}

/// A lane that had to begin another life, because one of the two relays was restored from a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredLane {
    /// What it carries.
    pub class: LaneClass,
    /// Whose data was restored. Where it was the other relay's, it may have lost messages that it had acknowledged; who had
    /// sent them is not known any more.
    pub whose: Restored,
    /// When that was found.
    pub found: Millis,
}
