//! What is known of how this relay can be reached: the addresses that other relays have tried for it, and the relays
//! through which it holds a reservation.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use posthouse_spec::{Domain, Millis};
use tokio::sync::watch;

/// Addresses whose test is remembered; there are no more candidates.
const MAX_TESTED: usize = 64;
/// How long a call by circuit waits until another relay has said as which address it sees this one: without one the
/// other side has nothing to punch a hole to.
const SEEN_PATIENCE: Duration = Duration::from_secs(2);

/// Whether others can connect to this relay directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// An address was reached from outside.
    Public,
    /// Other relays have tried, and none got through.
    Private,
    /// Nobody has tried yet.
    #[default]
    Unknown,
}

impl Standing {
    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Unknown => "unknown",
        }
    }
}

/// An address of this relay that another relay has tried to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestedAddress {
    /// The address.
    pub address: String,
    /// Whether the manifest announces it; else others only see this relay under it.
    pub announced: bool,
    /// Whether the other relay got through.
    pub reachable: bool,
    /// The node that tried, its PeerId.
    pub by: String,
    /// When.
    pub at: Millis,
}

/// A relay through which this one is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationStatus {
    /// That relay.
    pub through: Domain,
    /// Since when the reservation stands, if it does.
    pub since: Option<Millis>,
    /// Why it does not, as far as that is known.
    pub trouble: Option<String>,
}

/// How this relay can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reachability {
    /// The sum of it.
    pub standing: Standing,
    /// What was tried.
    pub tested: Vec<TestedAddress>,
    /// By circuit.
    pub reservations: Vec<ReservationStatus>,
}

#[derive(Default)]
struct State {
    announced: Vec<Multiaddr>,
    tested: BTreeMap<Multiaddr, TestedAddress>,
    reservations: BTreeMap<Domain, ReservationStatus>,
}

/// What is known, for everybody who adds to it.
#[derive(Default)]
pub(crate) struct Reach {
    state: Mutex<State>,
    seen: watch::Sender<bool>,
}

impl Reach {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the manifest's addresses, names resolved.
    pub(crate) fn announce(&self, addresses: Vec<Multiaddr>) {
        self.lock().announced = addresses;
    }

    /// The manifest's addresses.
    pub(crate) fn announced(&self) -> Vec<Multiaddr> {
        self.lock().announced.clone()
    }

    /// Another relay has tried an address.
    pub(crate) fn tested(&self, address: &Multiaddr, by: PeerId, reachable: bool, now: Millis) {
        let mut state = self.lock();
        let announced = state.announced.contains(address);
        match (reachable, announced) {
            (true, _) => tracing::info!(%address, %by, "another relay has reached this one"),
            (false, true) => tracing::warn!(
                %address,
                %by,
                "the manifest announces an address at which another relay cannot reach this one: open its port to the \
                 outside (UDP for QUIC, TCP), mend peers.announce, or name a relay in circuits.through"
            ),
            (false, false) => {
                tracing::debug!(%address, %by, "not reachable where others see this relay");
            }
        }
        if state.tested.len() < MAX_TESTED || state.tested.contains_key(address) {
            let test = TestedAddress {
                address: address.to_string(),
                announced,
                reachable,
                by: by.to_string(),
                at: now,
            };
            state.tested.insert(address.clone(), test);
        }
    }

    /// A reservation stands, since `since`, or does not.
    pub(crate) fn reserved(&self, through: &Domain, since: Option<Millis>, trouble: Option<String>) {
        let status = ReservationStatus { through: through.clone(), since, trouble };
        self.lock().reservations.insert(through.clone(), status);
    }

    /// Somebody has said as which address this relay is seen.
    pub(crate) fn seen(&self) {
        self.seen.send_replace(true);
    }

    /// Waits a little for that.
    pub(crate) async fn until_seen(&self) {
        let mut watch = self.seen.subscribe();
        // Whoever is not seen in time calls all the same: then the circuit is all there is.
        let _ = tokio::time::timeout(SEEN_PATIENCE, watch.wait_for(|seen| *seen)).await;
    }

    pub(crate) fn status(&self) -> Reachability {
        let state = self.lock();
        let tested: Vec<_> = state.tested.values().cloned().collect();
        let standing = match tested.is_empty() {
            true => Standing::Unknown,
            false if tested.iter().any(|test| test.reachable) => Standing::Public,
            false => Standing::Private,
        };
        Reachability { standing, tested, reservations: state.reservations.values().cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_is_reached_makes_a_relay_public() {
        let reach = Reach::default();
        assert_eq!(reach.status().standing, Standing::Unknown);
        let quic: Multiaddr = "/ip4/1.1.1.1/udp/5/quic-v1".parse().expect("an address");
        let tcp: Multiaddr = "/ip4/1.1.1.1/tcp/5".parse().expect("an address");
        reach.announce(vec![quic.clone()]);
        reach.tested(&quic, PeerId::random(), false, Millis(1));
        assert_eq!(reach.status().standing, Standing::Private);
        reach.tested(&tcp, PeerId::random(), true, Millis(2));
        let status = reach.status();
        assert_eq!(status.standing, Standing::Public);
        let announced: Vec<_> = status.tested.iter().map(|test| (test.announced, test.reachable)).collect();
        assert!(announced.contains(&(true, false)) && announced.contains(&(false, true)), "{announced:?}");
    }
}
