//! Where a relay is: HTTPS, or plain HTTP on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use posthouse_spec::Domain;
use reqwest::Url;

use crate::error::ClientError;

/// A base URL that is fit to be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayUrl(Url);

impl RelayUrl {
    /// Where a relay is unless somebody says otherwise.
    pub(crate) fn default_for(domain: &Domain) -> Result<Self, ClientError> {
        Self::parse(&format!("https://{domain}"))
    }

    /// Takes a URL that somebody wrote.
    ///
    /// # Errors
    /// It is no URL, or would send secrets over the network in the clear.
    pub(crate) fn parse(text: &str) -> Result<Self, ClientError> {
        let bad = |why: &str| ClientError::BadRelayUrl { url: text.to_owned(), why: why.to_owned() };
        let url = Url::parse(text).map_err(|_| bad("write it as https://relay.example"))?;
        if url.host_str().is_none()
            || url.path() != "/"
            || url.query().is_some()
            || !url.username().is_empty()
        {
            return Err(bad("write only scheme, host and port, such as https://relay.example"));
        }
        let this = Self(url);
        match this.0.scheme() {
            "https" => Ok(this),
            "http" if this.is_loopback() => Ok(this),
            "http" => Err(bad("plain http is only for this machine; use https")),
            _ => Err(bad("use https")),
        }
    }

    /// The URL without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The host without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// Whether it is on this machine: `localhost`, a name below it, or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.is_loopback_name(),
        }
    }

    /// The address of a loopback name, which is never asked of DNS.
    pub(crate) fn loopback_address(&self) -> Option<SocketAddr> {
        self.is_loopback_name().then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, self.port())))
    }

    fn is_loopback_name(&self) -> bool {
        self.host().parse::<Domain>().is_ok_and(|domain| domain.is_loopback())
    }

    /// The URL of a path, for HTTP.
    pub(crate) fn http(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// The URL of a path, for a WebSocket.
    pub(crate) fn websocket(&self, path: &str) -> String {
        format!("ws{}{path}", self.as_str().trim_start_matches("http"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in
            ["https://a.example", "http://127.0.0.1:6480", "http://a.localhost:1/", "http://[::1]:6480"]
        {
            assert!(RelayUrl::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["http://a.example", "ftp://a.example", "a.example", "https://a.example/x", "http://10.0.0.1", ""]
        {
            assert!(RelayUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_websocket_has_the_security_of_the_url() {
        let secure = RelayUrl::parse("https://a.example").expect("good");
        assert_eq!(secure.websocket("/v1/socket"), "wss://a.example/v1/socket");
        let plain = RelayUrl::parse("http://127.0.0.1:6480/").expect("good");
        assert_eq!(plain.websocket("/v1/socket"), "ws://127.0.0.1:6480/v1/socket");
    }
}
