//! What keeps a manifest from being found.

use std::net::IpAddr;

use posthouse_spec::Malformed;

use super::overrides::OverridesError;

/// Why no manifest was found.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The operator's file is broken.
    #[error(transparent)]
    Overrides(#[from] OverridesError),
    /// The URL in the operator's file cannot be used.
    #[error("the overrides file names {url}, which cannot be used: {why}")]
    Url {
        /// The URL.
        url: String,
        /// Why not.
        why: &'static str,
    },
    /// The name leads to addresses that strangers' names may not lead to.
    #[error(
        "{host} leads to {address}, which is not public; set `peers.private_addresses` if this network is meant"
    )]
    NotPublic {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// Nobody answers now; it may be a relay that is down.
    #[error("no answer from {url}: {why}")]
    Unanswered {
        /// The URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// There is no such name, or somebody answers, but not as a relay does.
    #[error("no manifest at {url}: {why}")]
    Http {
        /// The URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// What was found is no manifest.
    #[error("what {url} serves is no signed manifest: {fault}")]
    Malformed {
        /// The URL.
        url: String,
        /// The rule that it breaks.
        fault: Malformed,
    },
}

impl DiscoveryError {
    /// Whether the same look-up may find something later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }
}
