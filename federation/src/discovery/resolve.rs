//! From a name to the addresses that may be asked.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{is_public, loopback};
use super::error::DiscoveryError;

/// A resolver that gives only addresses that may be asked, so that what was checked is what is connected to.
pub(super) struct Guarded {
    pub(super) trusted: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let trusted = self.trusted;
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let addresses = resolve(&host, 0, trusted).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses behind a name that may be asked.
pub(crate) async fn resolve(host: &str, port: u16, trusted: bool) -> Result<Vec<SocketAddr>, DiscoveryError> {
    if is_local_name(host) {
        return Ok(loopback(port));
    }
    let found =
        tokio::net::lookup_host((host, port)).await.map_err(|error| unresolved(host, &error.to_string()))?;
    let (allowed, refused): (Vec<_>, Vec<_>) = found.partition(|address| trusted || is_public(address.ip()));
    match (allowed.is_empty(), refused.first()) {
        (true, Some(address)) => {
            Err(DiscoveryError::NotPublic { host: host.to_owned(), address: address.ip() })
        }
        _ => Ok(allowed),
    }
}

/// A name that was not resolved. The system tells a resolver that does not answer from a name that does not exist by
/// words only.
fn unresolved(host: &str, why: &str) -> DiscoveryError {
    let (url, why) = (host.to_owned(), why.to_owned());
    match why.to_ascii_lowercase().contains("temporary") {
        true => DiscoveryError::Unanswered { url, why },
        false => DiscoveryError::Http { url, why },
    }
}

/// Names that are this machine, and never asked of DNS.
pub(super) fn is_local_name(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_that_is_silent_is_told_from_a_name_that_does_not_exist() {
        assert!(unresolved("b.example", "Temporary failure in name resolution").is_temporary());
        assert!(!unresolved("b.example", "Name or service not known").is_temporary());
    }

    #[tokio::test]
    async fn names_below_localhost_are_this_machine_and_no_question_to_dns() {
        let addresses = resolve("b.localhost", 7, false).await.expect("never asked");
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_name_may_not_lead_inside() {
        let fault = resolve("127.0.0.1", 7, false).await.expect_err("loopback by another way");
        assert!(matches!(fault, DiscoveryError::NotPublic { .. }));
        assert!(resolve("127.0.0.1", 7, true).await.is_ok());
    }
}
