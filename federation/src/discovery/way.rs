//! The way to a domain's manifest, step by step: for those who want to know where it breaks.

use std::net::IpAddr;

use posthouse_spec::Domain;

use super::error::DiscoveryError;
use super::fetch::{Discovery, host_ip, parsed};
use super::resolve::{is_local_name, resolve};

impl Discovery {
    /// Whether a domain's name may lead to addresses that are not public.
    #[must_use]
    pub fn trusts(&self, domain: &Domain, by_override: bool) -> bool {
        by_override || self.allow_private || domain.is_loopback()
    }

    /// The base URL at which a domain's manifest is looked for, and whether the operator's file says so.
    ///
    /// # Errors
    /// The file is broken.
    pub async fn base(&self, domain: &Domain) -> Result<(String, bool), DiscoveryError> {
        Ok(match self.override_of(domain).await? {
            Some(url) => (url, true),
            None => (format!("https://{domain}"), false),
        })
    }

    /// The addresses behind the name in that URL; nothing for an address, and for names of this machine, of which DNS is
    /// never asked.
    pub async fn resolved(&self, domain: &Domain) -> Option<Result<Vec<IpAddr>, DiscoveryError>> {
        let (base, by_override) = self.base(domain).await.ok()?;
        let url = parsed(&base, "/").ok()?;
        let host = url.host_str().filter(|host| host_ip(&url).is_none() && !is_local_name(host))?;
        let trusted = self.trusts(domain, by_override);
        let found = resolve(host, 0, trusted).await;
        Some(found.map(|addresses| addresses.into_iter().map(|address| address.ip()).collect()))
    }
}
