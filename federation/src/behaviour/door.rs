//! How often somebody may come: a token bucket for each address, before anything is spent on a handshake.
//!
//! A public address has one of its own, or shares its /64 of IPv6. Addresses of this machine, and private ones where the
//! operator federates on a private network, may stand for many relays behind one proxy: their buckets fill
//! [`NEAR`] times as fast, and hold [`NEAR_BURST`] times as much. A circuit has no address; who carries it bounds those.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use posthouse_spec::Millis;

use crate::budget::{Bucket, Rate};
use crate::discovery::is_public;

/// Addresses whose bucket is remembered, 32 bytes each; those that come on top share one.
const MAX_ADDRESSES: usize = 16_384;
/// How much faster the bucket of a near address fills.
const NEAR: u64 = 20;
/// How much more it holds: each handshake costs a millisecond or two, and honest relays come one after the other.
const NEAR_BURST: u64 = 2;
/// Tokens for one connection: a minute's worth at once needs no fraction of a second's then.
const TOKENS: u64 = 60;

/// Why a connection was not taken.
#[derive(Debug, thiserror::Error)]
#[error("too many connections come from this address")]
struct TooOften;

/// The behaviour.
pub(crate) struct Door {
    public: Rate,
    near: Rate,
    allow_private: bool,
    started: Instant,
    buckets: HashMap<IpAddr, Bucket>,
    shared: Bucket,
}

impl Door {
    pub(super) fn new(connections_per_minute: u64, allow_private: bool) -> Self {
        let rate = |faster: u64, more: u64| Rate {
            per_second: connections_per_minute.saturating_mul(faster),
            burst: connections_per_minute.saturating_mul(TOKENS * more),
        };
        Self {
            public: rate(1, 1),
            near: rate(NEAR, NEAR_BURST),
            allow_private,
            started: Instant::now(),
            buckets: HashMap::new(),
            shared: Bucket::default(),
        }
    }

    fn admits(&mut self, from: IpAddr, now: Millis) -> bool {
        let near = from.is_loopback() || (self.allow_private && !is_public(from));
        let rate = if near { self.near } else { self.public };
        let from = network(from);
        if self.buckets.len() >= MAX_ADDRESSES && !self.buckets.contains_key(&from) {
            let slowest = self.public;
            self.buckets.retain(|_, bucket| !bucket.is_full(slowest, now));
            if self.buckets.len() >= MAX_ADDRESSES {
                return self.shared.take(rate, TOKENS, now).is_ok();
            }
        }
        self.buckets.entry(from).or_default().take(rate, TOKENS, now).is_ok()
    }
}

/// A network hands out whole /64s of IPv6 to one customer.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

fn address_of(remote: &Multiaddr) -> Option<IpAddr> {
    match remote.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::from(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::from(ip).to_canonical()),
        _ => None,
    }
}

impl NetworkBehaviour for Door {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let circuit = remote.iter().any(|part| part == Protocol::P2pCircuit);
        let Some(from) = address_of(remote).filter(|_| !circuit) else { return Ok(()) };
        let now = Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        if self.admits(from, now) {
            return Ok(());
        }
        metrics::counter!("posthouse_peer_connections_turned_away_total").increment(1);
        Err(ConnectionDenied::new(TooOften))
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address of the test")
    }

    fn come(door: &mut Door, from: &str, times: u64, now: u64) -> usize {
        (0..times).filter(|_| door.admits(ip(from), Millis(now))).count()
    }

    #[test]
    fn an_address_comes_a_minutes_worth_at_once_and_then_evenly() {
        let mut door = Door::new(120, false);
        assert_eq!(come(&mut door, "192.0.2.1", 500, 1), 120);
        assert_eq!(come(&mut door, "192.0.2.1", 500, 1 + 5_000), 10);
        assert_eq!(come(&mut door, "192.0.2.2", 1, 1), 1, "another one has its own");
        assert_eq!(come(&mut door, "2001:db8::1", 500, 1), 120);
        assert_eq!(come(&mut door, "2001:db8::ffff", 1, 1), 0, "one customer's /64");
        assert_eq!(come(&mut door, "2001:db8:0:1::1", 1, 1), 1);
    }

    #[test]
    fn near_addresses_stand_for_many() {
        let mut door = Door::new(120, false);
        assert_eq!(come(&mut door, "127.0.0.1", 5_000, 1), 240);
        assert_eq!(come(&mut door, "127.0.0.1", 5_000, 1_001), 40);
        assert_eq!(come(&mut door, "10.0.0.1", 5_000, 1), 120);
        assert_eq!(come(&mut Door::new(120, true), "10.0.0.1", 5_000, 1), 240);
    }

    #[test]
    fn it_remembers_so_many_addresses_and_no_more() {
        let mut door = Door::new(1, false);
        for n in 0..u32::try_from(MAX_ADDRESSES).expect("it fits") {
            assert!(door.admits(IpAddr::from(n.to_be_bytes()), Millis(1)));
        }
        assert_eq!(come(&mut door, "203.0.113.1", 3, 2), 1, "those on top share one");
        assert_eq!(come(&mut door, "203.0.113.2", 3, 2), 0);
        assert_eq!(door.buckets.len(), MAX_ADDRESSES);
        assert_eq!(come(&mut door, "203.0.113.2", 1, 2 * 60_000), 1);
        assert!(door.buckets.len() < MAX_ADDRESSES);
    }
}
