//! Fetching a manifest over HTTP: bounded in time and size, without redirects, and only to addresses that may be asked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use posthouse_spec::limits::MAX_MANIFEST;
use posthouse_spec::manifest::{CHAIN_PATH, Manifest, WELL_KNOWN_PATH};
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};
use reqwest::Url;
use reqwest::header::{DATE, HeaderValue};
use tokio::sync::Semaphore;

use super::address::is_public;
use super::error::DiscoveryError;
use super::overrides::{OverridesError, look_up};
use super::resolve::{Guarded, is_local_name};

/// How long one fetch may take, from the look-up of the name to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(8);
/// Fetches at once: strangers' hellos cause them too.
const MAX_FETCHES: usize = 16;

/// A manifest, found but not yet believed.
#[derive(Debug)]
pub struct Found {
    /// The manifest.
    pub manifest: Signed<Manifest>,
    /// Whether the operator's file led to it: then its addresses need not be public.
    pub by_override: bool,
    /// The clock of the server that gave it, to the second, if it told.
    pub served_at: Option<Millis>,
}

/// Finds manifests.
#[derive(Debug)]
pub struct Discovery {
    overrides: Option<PathBuf>,
    pub(super) allow_private: bool,
    turns: Semaphore,
}

impl Discovery {
    /// Looks into `overrides` first, if there is such a file.
    #[must_use]
    pub fn new(overrides: Option<PathBuf>, allow_private: bool) -> Self {
        Self { overrides, allow_private, turns: Semaphore::new(MAX_FETCHES) }
    }

    /// The URL that the operator's file names for a domain.
    ///
    /// # Errors
    /// The file is broken.
    pub async fn override_of(&self, domain: &Domain) -> Result<Option<String>, OverridesError> {
        match &self.overrides {
            Some(path) => look_up(path, domain).await,
            None => Ok(None),
        }
    }

    /// Fetches a domain's manifest.
    ///
    /// # Errors
    /// Nothing was found, in words that say where it was looked for.
    pub async fn find(&self, domain: &Domain) -> Result<Found, DiscoveryError> {
        self.fetch(domain, WELL_KNOWN_PATH).await
    }

    /// Fetches an earlier link of a domain's chain of manifests.
    ///
    /// # Errors
    /// As [`Discovery::find`].
    pub async fn link(&self, domain: &Domain, seq: ManifestSeq) -> Result<Signed<Manifest>, DiscoveryError> {
        Ok(self.fetch(domain, &format!("{CHAIN_PATH}/{seq}")).await?.manifest)
    }

    async fn fetch(&self, domain: &Domain, path: &str) -> Result<Found, DiscoveryError> {
        let base = self.override_of(domain).await?;
        let by_override = base.is_some();
        let url = match base {
            Some(base) => checked(&base, path)?,
            None => parsed(&format!("https://{domain}"), path)?,
        };
        let trusted = by_override || self.allow_private || domain.is_loopback();
        // The semaphore is never closed, so a turn always comes.
        let _turn = self.turns.acquire().await;
        let text = url.to_string();
        let fetching = tokio::time::timeout(FETCH_TIMEOUT, fetch(url, trusted));
        let (bytes, served_at) = fetching.await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", FETCH_TIMEOUT.as_secs());
            Err(DiscoveryError::Unanswered { url: text.clone(), why })
        })?;
        let manifest =
            Signed::from_bytes(bytes).map_err(|fault| DiscoveryError::Malformed { url: text, fault })?;
        Ok(Found { manifest, by_override, served_at })
    }
}

pub(super) fn parsed(base: &str, path: &str) -> Result<Url, DiscoveryError> {
    let bad = || DiscoveryError::Url { url: base.to_owned(), why: "it is no URL such as https://b.example" };
    let url = Url::parse(base).map_err(|_| bad())?;
    url.join(path).map_err(|_| bad())
}

/// A URL of the operator's: HTTPS, or plain HTTP to this machine.
fn checked(base: &str, path: &str) -> Result<Url, DiscoveryError> {
    let url = parsed(base, path)?;
    let refuse = |why| Err(DiscoveryError::Url { url: base.to_owned(), why });
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback_host(&url) => Ok(url),
        "http" => refuse("plain HTTP is for this machine only; use https"),
        _ => refuse("the scheme must be https, or http for this machine"),
    }
}

/// The host as an address, if it is one; without the brackets of IPv6.
pub(super) fn host_ip(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

pub(super) fn is_loopback_host(url: &Url) -> bool {
    host_ip(url).map_or_else(|| url.host_str().is_some_and(is_local_name), |ip| ip.is_loopback())
}

async fn fetch(url: Url, trusted: bool) -> Result<(Bytes, Option<Millis>), DiscoveryError> {
    let text = url.to_string();
    let http = |why: String| DiscoveryError::Http { url: text.clone(), why };
    if let Some(address) = host_ip(&url).filter(|ip| !trusted && !is_public(*ip)) {
        return Err(DiscoveryError::NotPublic {
            host: url.host_str().unwrap_or_default().to_owned(),
            address,
        });
    }
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(FETCH_TIMEOUT)
        .user_agent(concat!("posthouse-relay/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Guarded { trusted });
    if url.scheme() == "http" {
        // Plain HTTP needs no roots, and a machine without any must still be able to use it.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|e| http(root_cause(&e)))?;
    let failed = |error: reqwest::Error| match has_no_remedy(&error) {
        true => http(root_cause(&error)),
        false => DiscoveryError::Unanswered { url: text.clone(), why: root_cause(&error) },
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if response.status().is_server_error() {
        let why = format!("the server answered {}", response.status());
        return Err(DiscoveryError::Unanswered { url: text, why });
    }
    if !response.status().is_success() {
        return Err(http(format!("the server answered {}", response.status())));
    }
    let too_long = || http(format!("the answer is longer than {MAX_MANIFEST} bytes"));
    if response.content_length().is_some_and(|len| len > MAX_MANIFEST as u64) {
        return Err(too_long());
    }
    let served_at = response.headers().get(DATE).and_then(date);
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_MANIFEST {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), served_at))
}

fn date(header: &HeaderValue) -> Option<Millis> {
    let at = httpdate::parse_http_date(header.to_str().ok()?).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Millis(u64::try_from(since.as_millis()).ok()?))
}

/// Whether a fetch failed for a reason of our own naming that no waiting mends, such as a name that does not exist.
fn has_no_remedy(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(named) = inner.downcast_ref::<DiscoveryError>() {
            return !named.is_temporary();
        }
        cause = inner.source();
    }
    false
}

/// The innermost error says what happened; the ones around it only where, which our own text says already.
fn root_cause(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn domain(text: &str) -> Domain {
        text.parse().expect("a domain of the test")
    }

    /// A server that gives each caller the same bytes.
    async fn serve(answer: Vec<u8>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
            }
        });
        format!("http://{address}")
    }

    fn overriding(line: &str) -> (tempfile::TempDir, Discovery) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("overrides.toml");
        std::fs::write(&path, line).expect("written");
        (folder, Discovery::new(Some(path), false))
    }

    async fn fault_of(line: &str, who: &str) -> DiscoveryError {
        let (_folder, discovery) = overriding(line);
        discovery.find(&domain(who)).await.expect_err("nothing to be found")
    }

    #[tokio::test]
    async fn plain_http_is_for_this_machine_only() {
        let fault = fault_of("\"b.example\" = \"http://192.0.2.1\"", "b.example").await;
        assert!(matches!(fault, DiscoveryError::Url { .. }), "{fault}");
        let fault = fault_of("\"b.example\" = \"ftp://127.0.0.1\"", "b.example").await;
        assert!(matches!(fault, DiscoveryError::Url { .. }), "{fault}");
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let target = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        let answer = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let base = serve(answer.into_bytes()).await;
        let fault = fault_of(&format!("\"b.example\" = \"{base}\""), "b.example").await;
        assert!(fault.to_string().contains("302"), "{fault}");
    }

    #[tokio::test]
    async fn a_long_answer_is_cut_off_whether_it_says_so_or_not() {
        let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
        let mut endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        endless.extend(std::iter::repeat_n(7, MAX_MANIFEST + 1));
        for answer in [announced, endless] {
            let base = serve(answer).await;
            let fault = fault_of(&format!("\"b.example\" = \"{base}\""), "b.example").await;
            assert!(fault.to_string().contains("longer than"), "{fault}");
        }
    }

    #[tokio::test]
    async fn what_is_no_manifest_is_named_so() {
        let base = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_vec()).await;
        let fault = fault_of(&format!("\"b.example\" = \"{base}\""), "b.example").await;
        assert!(matches!(fault, DiscoveryError::Malformed { .. }), "{fault}");
    }

    #[tokio::test]
    async fn a_relay_that_is_down_is_told_from_one_that_does_not_exist() {
        let down = "http://127.0.0.1:1";
        assert!(fault_of(&format!("\"b.example\" = \"{down}\""), "b.example").await.is_temporary());
        let silent = serve(Vec::new()).await;
        assert!(fault_of(&format!("\"b.example\" = \"{silent}\""), "b.example").await.is_temporary());
        let busy = serve(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        assert!(fault_of(&format!("\"b.example\" = \"{busy}\""), "b.example").await.is_temporary());
        let other = serve(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        assert!(!fault_of(&format!("\"b.example\" = \"{other}\""), "b.example").await.is_temporary());
    }

    #[tokio::test]
    async fn a_broken_overrides_file_says_which_and_why() {
        let fault = fault_of("nonsense", "b.example").await;
        assert!(fault.to_string().contains("overrides.toml"), "{fault}");
        let missing = Discovery::new(Some("/no/such/file.toml".into()), false);
        let fault = missing.find(&domain("b.example")).await.expect_err("no file");
        assert!(fault.to_string().contains("/no/such/file.toml"), "{fault}");
    }
}
