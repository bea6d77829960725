//! From the addresses in a manifest to those that are dialled.

use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use posthouse_spec::manifest::Manifest;

use crate::discovery::{is_public, resolve};

/// Addresses behind one name that are tried.
const MAX_PER_NAME: usize = 4;

/// What can be dialled of a manifest's addresses: with QUIC, and with TCP.
#[derive(Debug, Default)]
pub(crate) struct Dialable {
    pub(crate) quic: Vec<Multiaddr>,
    pub(crate) tcp: Vec<Multiaddr>,
    /// What was left out, and why.
    pub(crate) left_out: Vec<String>,
}

enum Host {
    Ip(IpAddr),
    Name(String),
}

#[derive(Clone, Copy)]
enum Transport {
    Quic(u16),
    Tcp(u16),
}

/// Sorts a manifest's addresses. Names are resolved here, so that what is checked is what is dialled; addresses that are
/// not public are left out unless the relay is `trusted`.
pub(crate) async fn dialable(manifest: &Manifest, trusted: bool) -> Dialable {
    let mut found = Dialable::default();
    for text in manifest.addresses.iter() {
        let Some((host, transport)) = text.as_str().parse().ok().and_then(|address| parts(&address)) else {
            found.left_out.push(format!("{text}: neither QUIC nor TCP"));
            continue;
        };
        match resolved(host, trusted).await {
            Ok(ips) => found.add(ips, transport),
            Err(why) => found.left_out.push(format!("{text}: {why}")),
        }
    }
    found
}

impl Dialable {
    /// Whether there is nothing to dial.
    pub(crate) fn is_empty(&self) -> bool {
        self.quic.is_empty() && self.tcp.is_empty()
    }

    /// All of them.
    pub(crate) fn into_all(self) -> Vec<Multiaddr> {
        self.quic.into_iter().chain(self.tcp).collect()
    }

    fn add(&mut self, ips: Vec<IpAddr>, transport: Transport) {
        for ip in ips {
            let base = Multiaddr::from(ip);
            match transport {
                Transport::Quic(port) => {
                    self.quic.push(base.with(Protocol::Udp(port)).with(Protocol::QuicV1));
                }
                Transport::Tcp(port) => self.tcp.push(base.with(Protocol::Tcp(port))),
            }
        }
    }
}

async fn resolved(host: Host, trusted: bool) -> Result<Vec<IpAddr>, String> {
    match host {
        Host::Ip(ip) if trusted || is_public(ip) => Ok(vec![ip]),
        Host::Ip(_) => Err("not public; set `peers.private_addresses` if this network is meant".into()),
        Host::Name(name) => {
            let found = resolve(&name, 0, trusted).await.map_err(|e| e.to_string())?;
            Ok(found.into_iter().map(|address| address.ip()).take(MAX_PER_NAME).collect())
        }
    }
}

fn parts(address: &Multiaddr) -> Option<(Host, Transport)> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => Host::Ip(ip.into()),
        Protocol::Ip6(ip) => Host::Ip(ip.into()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Host::Name(name.into_owned()),
        _ => return None,
    };
    let transport = match (parts.next()?, parts.next()) {
        (Protocol::Udp(port), Some(Protocol::QuicV1)) => Transport::Quic(port),
        (Protocol::Tcp(port), None | Some(Protocol::P2p(_))) => Transport::Tcp(port),
        _ => return None,
    };
    // What may follow is the PeerId, which is known from the manifest's nodes.
    matches!(parts.next(), None | Some(Protocol::P2p(_))).then_some((host, transport))
}

/// The way that begins at a relay which is connected under `at`.
pub(crate) fn behind(at: &Multiaddr, relay: PeerId) -> Multiaddr {
    let plain: Multiaddr = at.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    plain.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthouse_crypto::SigningKey;
    use posthouse_spec::cbor::{List, Text};
    use posthouse_spec::{KeyHash, ManifestSeq, Millis};

    fn manifest(addresses: &[&str]) -> Manifest {
        let root = SigningKey::from_seed(&[1; 32]).public();
        Manifest {
            domain: "a.example".parse().expect("a domain"),
            seq: ManifestSeq(1),
            previous: None,
            root,
            next_root: KeyHash::new([0; 32]),
            ordering: root,
            nodes: List::default(),
            addresses: List::new(addresses.iter().map(|a| Text::clipped(a)).collect()).expect("few"),
            client_url: Text::clipped("https://a.example"),
            created: Millis(1),
            lineage: None,
            mailbags: None,
            circuits: None,
        }
    }

    #[tokio::test]
    async fn quic_and_tcp_are_told_apart_and_the_rest_is_left_out() {
        let peer = PeerId::random();
        let with_peer = format!("/ip4/1.1.1.1/tcp/5/p2p/{peer}");
        let found = dialable(
            &manifest(&[
                "/ip4/1.1.1.1/udp/5/quic-v1",
                &with_peer,
                "/ip4/1.1.1.1/udp/5",
                "/ip4/1.1.1.1/tcp/5/ws",
                "x",
            ]),
            false,
        )
        .await;
        assert_eq!(found.quic, vec!["/ip4/1.1.1.1/udp/5/quic-v1".parse().expect("an address")]);
        assert_eq!(found.tcp, vec!["/ip4/1.1.1.1/tcp/5".parse().expect("an address")]);
        assert_eq!(found.left_out.len(), 3);
    }

    #[tokio::test]
    async fn a_stranger_leads_nobody_inside() {
        let inside =
            manifest(&["/ip4/10.0.0.1/tcp/22", "/ip6/::ffff:127.0.0.1/tcp/22", "/dns/127.0.0.1/tcp/22"]);
        let found = dialable(&inside, false).await;
        assert!(found.tcp.is_empty(), "{found:?}");
        assert_eq!(dialable(&inside, true).await.tcp.len(), 3);
    }
}
