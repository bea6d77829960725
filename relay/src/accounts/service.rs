//! The accounts themselves, on which each question that may be asked stands in a file of its own.

use std::net::IpAddr;
use std::sync::Arc;

use posthouse_federation::Clock;
use posthouse_spec::client::Refusal;
use posthouse_spec::{AccountId, Domain, Millis};

use super::challenges::Challenges;
use crate::config::{Rates, Registration};
use crate::error::{ApiError, ApiResult};
use crate::keys::OrderingKey;
use crate::network::Network;
use crate::rate::Limit;
use crate::store::{Store, StoreError};

/// How many minutes' worth of one account's claims all accounts of another relay may make together.
const PEER_CLAIMS_FACTOR: u32 = 10;

/// The accounts of this relay. Clones share them.
#[derive(Clone)]
pub struct Accounts(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) network: Network,
    pub(super) ordering: OrderingKey,
    pub(super) registration: Registration,
    pub(super) clock: Clock,
    pub(super) challenges: Challenges,
    pub(super) limits: Limits,
}

/// What strangers may ask how often.
pub(super) struct Limits {
    pub(super) registrations: Limit<IpAddr>,
    pub(super) logins: Limit<IpAddr>,
    pub(super) claims: Limit<AccountId>,
    pub(super) peers: Limit<Domain>,
    /// Claims of all relays together with which no room is shared.
    pub(super) strangers: Limit<()>,
}

impl Accounts {
    /// The accounts in `store`, bound to their aliases by the ordering key.
    #[must_use]
    pub fn new(
        store: Store,
        network: Network,
        ordering: OrderingKey,
        registration: Registration,
        rates: Rates,
        clock: Clock,
    ) -> Self {
        let limits = Limits {
            registrations: Limit::per_minute(rates.registrations),
            logins: Limit::per_minute(rates.logins),
            claims: Limit::per_minute(rates.claims),
            peers: Limit::per_minute(rates.claims.saturating_mul(PEER_CLAIMS_FACTOR)),
            strangers: Limit::per_minute(rates.claims.saturating_mul(PEER_CLAIMS_FACTOR)),
        };
        let challenges = Challenges::new(&mut rand::rng());
        Self(Arc::new(Inner { store, network, ordering, registration, clock, challenges, limits }))
    }

    /// The relay's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        self.0.network.domain()
    }

    pub(super) fn now(&self) -> Millis {
        (self.0.clock)()
    }
}

/// Takes a token of an address's bucket. Loopback has none: it is this machine, or a proxy on it behind which everybody
/// would share one bucket.
pub(super) fn by_address(limit: &Limit<IpAddr>, what: &str, from: IpAddr, now: Millis) -> ApiResult<()> {
    if from.is_loopback() {
        return Ok(());
    }
    // A network hands out whole IPv6 /64s to one customer.
    let from = match from {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    };
    limit.take(from, now).map_err(|wait| ApiError::rate_limited(what, wait))
}

/// What a failure of the store is for the one who asked.
pub(crate) fn store_failed(doing: &'static str) -> impl FnOnce(StoreError) -> ApiError {
    move |error| match error {
        StoreError::Busy(_) => {
            ApiError::new(Refusal::Busy, "the relay is overloaded; try again in a few seconds")
        }
        StoreError::Closed => {
            ApiError::new(Refusal::ShuttingDown, "the relay is shutting down; try again later")
        }
        error => ApiError::internal(doing, &error),
    }
}
