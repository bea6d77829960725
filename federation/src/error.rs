//! What goes wrong between relays, told to whoever has to do something about it.

use std::time::Duration;

use posthouse_spec::Domain;
use posthouse_spec::peer::hello::PeerRule;

/// Why another relay could not be reached, or would not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The domain's manifest could not be found, or does not hold.
    #[error("no relay can be found and trusted for {domain}: {why}")]
    Unknown {
        /// The domain that was looked up.
        domain: Domain,
        /// What was tried, and what to do.
        why: String,
    },
    /// The relay is known but does not answer at its addresses.
    #[error("the relay {domain} cannot be reached now: {why}")]
    Unreachable {
        /// The relay.
        domain: Domain,
        /// What was tried.
        why: String,
    },
    /// The relay answered, and refused; or this relay refused it.
    #[error("between this relay and {domain} a rule was broken ({rule}): {detail}")]
    Refused {
        /// The relay.
        domain: Domain,
        /// The rule.
        rule: PeerRule,
        /// In words.
        detail: String,
    },
    /// The relay was not called: this one has no room for another call. That says nothing of the other.
    #[error("this relay has no room for a call to {domain} now: {why}")]
    Crowded {
        /// The relay.
        domain: Domain,
        /// What there was no room for.
        why: String,
    },
    /// The relay was reached but did not answer in time.
    #[error("the relay {domain} did not answer {what} within {} s: it may be overloaded, try again later", .after.as_secs())]
    Timeout {
        /// The relay.
        domain: Domain,
        /// What it was asked.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
}

impl PeerError {
    /// The domain that it is about.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Unknown { domain, .. }
            | Self::Unreachable { domain, .. }
            | Self::Refused { domain, .. }
            | Self::Crowded { domain, .. }
            | Self::Timeout { domain, .. } => domain,
        }
    }
}

/// Why the node could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address to listen on is not one.
    #[error(
        "`{address}` is not an address to listen on for peers: write it like /ip4/0.0.0.0/udp/6481/quic-v1 ({why})"
    )]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system would not let the node listen.
    #[error(
        "cannot listen for other relays on {address} ({why}): if another program has that port, stop it, or choose another address with --peer-listen"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        why: String,
    },
    /// The node's own manifest does not speak for it.
    #[error("the relay's own manifest does not hold: {0}")]
    Manifest(String),
    /// Something else of the start failed.
    #[error("the peer node could not be set up: {0}")]
    Setup(String),
}
