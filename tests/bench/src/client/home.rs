//! A relay's HTTP API.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use posthouse_crypto::{Verified, follow};
use posthouse_spec::account::{AccountRecord, ClaimedKeyPackages, KeyClaim, Login};
use posthouse_spec::client::http::{
    AccountResponse, Base64, ChallengeRequest, ChallengeResponse, ClaimRequest, ClaimResponse, CommitRequest,
    CommitResponse, ErrorBody, KeyPackageUpload, LoginRequest, LoginResponse, RegisterRequest,
    RegisterResponse, RoomCreate, RoomResponse,
};
use posthouse_spec::manifest::{Manifest, WELL_KNOWN_PATH};
use posthouse_spec::room::{CommitUpload, Decided};
use posthouse_spec::{Alias, Domain, RoomId, Signed};
use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A relay as its clients see it. Requests share a pool of connections, which goes with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    address: SocketAddr,
    client: Client,
    manifest: Verified<Manifest>,
}

impl Home {
    /// Finds a relay and checks its manifest.
    pub(crate) async fn discover(address: SocketAddr, domain: &Domain) -> Result<Self> {
        let client = Client::builder().no_proxy().build().context("making an HTTP client")?;
        let url = format!("http://{address}{WELL_KNOWN_PATH}");
        let answer =
            client.get(&url).send().await.with_context(|| format!("GET {url}"))?.error_for_status()?;
        let signed = Signed::<Manifest>::from_bytes(answer.bytes().await?)?;
        let manifest =
            follow(domain, None, &signed).with_context(|| format!("the manifest at {url} does not hold"))?;
        Ok(Self { address, client, manifest })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its manifest.
    pub(crate) fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    /// Registers an account.
    pub(crate) async fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse> {
        self.send(self.request(Method::POST, "/v1/accounts", None).json(request)).await
    }

    /// Asks for a login challenge.
    pub(crate) async fn challenge(&self, request: &ChallengeRequest) -> Result<ChallengeResponse> {
        self.send(self.request(Method::POST, "/v1/challenges", None).json(request)).await
    }

    /// Answers it; returns the session's token.
    pub(crate) async fn login(&self, login: &Signed<Login>) -> Result<String> {
        let request = LoginRequest { login: Base64::of(login) };
        let answer: LoginResponse =
            self.send(self.request(Method::POST, "/v1/sessions", None).json(&request)).await?;
        Ok(answer.token)
    }

    /// Adds key packages.
    pub(crate) async fn upload(&self, token: &str, upload: &KeyPackageUpload) -> Result<()> {
        let _: serde_json::Value = self.authorized(Method::POST, "/v1/key-packages", token, upload).await?;
        Ok(())
    }

    /// Who is behind an alias, and the manifest of that alias's relay: both unverified.
    pub(crate) async fn account(
        &self,
        token: &str,
        alias: &Alias,
    ) -> Result<(AccountRecord, Signed<Manifest>)> {
        let path = format!("/v1/aliases/{alias}");
        let answer: AccountResponse = self.send(self.request(Method::GET, &path, Some(token))).await?;
        Ok((answer.record.read()?, answer.manifest.read()?))
    }

    /// Claims key packages.
    pub(crate) async fn claim(&self, token: &str, claim: &Signed<KeyClaim>) -> Result<ClaimedKeyPackages> {
        let request = ClaimRequest { claim: Base64::of(claim) };
        let answer: ClaimResponse = self.authorized(Method::POST, "/v1/claims", token, &request).await?;
        Ok(answer.key_packages.read()?)
    }

    /// Founds a room.
    pub(crate) async fn found(&self, token: &str, room: RoomId, group_info: Vec<u8>) -> Result<RoomResponse> {
        let request = RoomCreate { group_info: Base64(group_info) };
        self.authorized(Method::PUT, &format!("/v1/rooms/{room}"), token, &request).await
    }

    /// Asks for a commit to be decided.
    pub(crate) async fn commit(&self, token: &str, room: RoomId, upload: &CommitUpload) -> Result<Decided> {
        let request = CommitRequest { upload: Base64::of(upload) };
        let path = format!("/v1/rooms/{room}/commits");
        let answer: CommitResponse = self.authorized(Method::POST, &path, token, &request).await?;
        Ok(answer.decided.read()?)
    }

    async fn authorized<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.send(self.request(method, path, Some(token)).json(body)).await
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let (client, request) = request.build_split();
        let request = request.context("making a request")?;
        let what = format!("{} {}", request.method(), request.url());
        let answer = client.execute(request).await.with_context(|| what.clone())?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(|| what.clone())?;
        if !status.is_success() {
            match serde_json::from_slice::<ErrorBody>(&body) {
                Ok(error) => bail!("{what} was refused ({status}, {}): {}", error.error, error.detail),
                Err(_) => bail!("{what} was refused ({status}): {}", String::from_utf8_lossy(&body)),
            }
        }
        // Some answers have nothing to say.
        let body = if body.is_empty() { b"null" } else { &body[..] };
        serde_json::from_slice(body).with_context(|| format!("the answer to {what} has an unknown form"))
    }
}
