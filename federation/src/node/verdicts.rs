//! What follows from how relays behave: whoever is cut off loses its connections.

use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Millis};

use super::network::Network;
use super::peers::Peers;
use crate::conduct::Treatment;

/// A relay broke a rule so many times: from here it is treated accordingly.
pub(super) async fn punish(
    (peers, network): (&Peers, &Network),
    domain: &Domain,
    rule: PeerRule,
    times: u32,
    now: Millis,
) {
    if matches!(peers.conducts.fault(domain, rule, times, now), Treatment::CutOff(_)) {
        shut_out(peers, network, domain).await;
    }
}

/// Closes all connections with a relay.
pub(super) async fn shut_out(peers: &Peers, network: &Network, domain: &Domain) {
    for connection in peers.connections_of(|other| other == domain) {
        network.close(connection).await;
    }
}
