//! Ports and names: where the relay listens, and what it tells others of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use axum_server::{Address, Server};
use hyper_util::rt::TokioTimer;
use posthouse_spec::PublicKey;

use super::StartError;
use crate::config::Settings;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that one HTTP/2 connection may have open.
const MAX_HTTP2_STREAMS: u32 = 64;

/// Nothing else selects the provider, and rustls panics without one. A second call changes nothing.
pub(super) fn install_tls_provider() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
}

/// Listens on a TCP port.
pub(crate) fn tcp(
    what: &'static str,
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).map_err(|error| refused(what, key, address, error))?;
    listener.set_nonblocking(true).map_err(|error| refused(what, key, address, error))?;
    Ok(listener)
}

/// What it means that the system refuses a port.
pub(super) fn refused(
    what: &'static str,
    key: &'static str,
    address: SocketAddr,
    error: io::Error,
) -> StartError {
    if error.kind() == io::ErrorKind::AddrInUse {
        StartError::PortTaken { what, address, key }
    } else {
        StartError::Listen { what, address, key, error }
    }
}

/// Bounds what a slow or greedy client may hold.
pub(super) fn patient<A: Address, Acceptor>(mut server: Server<A, Acceptor>) -> Server<A, Acceptor> {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_HTTP2_STREAMS);
    server
}

/// What the manifest names: what the operator says, or where the node listens. A node that listens everywhere is named
/// by its domain, because its own interfaces may mean nothing to others.
pub(super) fn announced(settings: &Settings, listening: &[String]) -> Vec<String> {
    if !settings.peers.announce.is_empty() {
        return settings.peers.announce.clone();
    }
    // Who is reached through others has no address that means anything to them.
    if !settings.circuits.through.is_empty() {
        return Vec::new();
    }
    if !settings.peers.listen.ip().is_unspecified() {
        return listening.to_vec();
    }
    let host = if settings.domain.is_loopback() {
        format!("/ip4/{}", Ipv4Addr::LOCALHOST)
    } else {
        format!("/dns/{}", settings.domain)
    };
    let mut named: Vec<String> = listening
        .iter()
        .filter_map(|address| {
            // `/ip4/10.0.0.1/udp/6481/quic-v1` without its first two parts.
            let rest = address.splitn(4, '/').nth(3)?;
            Some(format!("{host}/{rest}"))
        })
        .collect();
    named.sort();
    named.dedup();
    named
}

/// The addresses as somebody would dial them who knows nothing else of the node; QUIC first.
pub(super) fn with_peer_id(listening: &[String], node: &PublicKey) -> Vec<String> {
    let suffix = posthouse_federation::peer_id(node).map(|id| format!("/p2p/{id}")).unwrap_or_default();
    let (quic, tcp): (Vec<_>, Vec<_>) = listening.iter().partition(|address| address.contains("/quic"));
    quic.into_iter().chain(tcp).map(|address| format!("{address}{suffix}")).collect()
}

/// The URL that clients are told when none is configured.
pub(super) fn client_url(settings: &Settings, bound: &str) -> String {
    let Some((scheme, address)) = bound.split_once("://") else { return bound.to_owned() };
    match address.parse::<SocketAddr>() {
        // A certificate is for the domain, not for an address.
        Ok(address) if scheme == "https" => format!("https://{}:{}", settings.domain, address.port()),
        _ => bound.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn settings(domain: &str, listen: &str) -> Settings {
        let mut config = Config { domain: domain.into(), ..Config::default() };
        config.peers.listen = listen.into();
        config.settings().unwrap()
    }

    #[test]
    fn a_node_that_listens_everywhere_is_named_by_its_domain() {
        let listening = [
            "/ip4/127.0.0.1/udp/6481/quic-v1".to_owned(),
            "/ip4/10.0.0.7/udp/6481/quic-v1".to_owned(),
            "/ip4/10.0.0.7/tcp/6481".to_owned(),
        ];
        let named = announced(&settings("a.example", "0.0.0.0:6481"), &listening);
        assert_eq!(named, ["/dns/a.example/tcp/6481", "/dns/a.example/udp/6481/quic-v1"]);
        let local = announced(&settings("localhost", "0.0.0.0:6481"), &listening);
        assert_eq!(local[0], "/ip4/127.0.0.1/tcp/6481");
        let exact = announced(&settings("a.example", "10.0.0.7:6481"), &listening);
        assert_eq!(exact, listening);
    }
}
