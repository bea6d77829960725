//! The node for other relays, as the settings want it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use posthouse_crypto::SigningKey;
use posthouse_federation::{Clock, NodeConfig, Policy};
use posthouse_spec::PublicKey;
use posthouse_spec::manifest::Manifest;

use crate::config::Settings;

/// What a node with this key is started with.
pub(crate) fn config(
    settings: &Settings,
    node_key: SigningKey,
    listen: Vec<String>,
    policy: Policy,
    clock: &Clock,
) -> NodeConfig {
    NodeConfig {
        domain: settings.domain.clone(),
        node_key,
        listen,
        overrides: settings.peers.overrides.clone(),
        policy,
        allow_private: settings.peers.private_addresses,
        gossip: settings.peers.gossip,
        circuits: settings.circuits.clone(),
        limits: settings.peer_limits,
        clock: Arc::clone(clock),
    }
}

/// The key of a manifest's node that is in use: it stands first.
pub(super) fn current_key(manifest: &Manifest) -> Option<PublicKey> {
    manifest.nodes.first().map(|node| node.key)
}

/// The addresses to listen at again, with the ports that the system chose the first time.
pub(super) fn same_ports(wanted: SocketAddr, listening: &[String]) -> Vec<String> {
    let port = |transport: &str| {
        let mark = format!("/{transport}/");
        listening.iter().find_map(|address| {
            let (_, rest) = address.split_once(&mark)?;
            rest.split('/').next()?.parse::<u16>().ok()
        })
    };
    let with = |transport| SocketAddr::new(wanted.ip(), port(transport).unwrap_or(wanted.port()));
    let udp = multiaddresses(with("udp")).into_iter().filter(|address| address.contains("/udp/"));
    let tcp = multiaddresses(with("tcp")).into_iter().filter(|address| address.contains("/tcp/"));
    udp.chain(tcp).collect()
}

/// The multiaddresses of one address: QUIC and TCP.
pub(crate) fn multiaddresses(address: SocketAddr) -> Vec<String> {
    let ip = protocol(address.ip());
    let port = address.port();
    vec![format!("/{ip}/{}/udp/{port}/quic-v1", address.ip()), format!("/{ip}/{}/tcp/{port}", address.ip())]
}

fn protocol(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ip4" } else { "ip6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_comes_back_at_the_ports_that_it_had() {
        let listening = ["/ip4/10.0.0.7/udp/4001/quic-v1".to_owned(), "/ip4/10.0.0.7/tcp/4002".to_owned()];
        let again = same_ports("0.0.0.0:0".parse().unwrap(), &listening);
        assert_eq!(again, ["/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4002"]);
    }
}
