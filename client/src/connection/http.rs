//! Questions to the relay over HTTP, and the session that most of them need.

use std::sync::Arc;
use std::time::Duration;

use posthouse_spec::account::Login;
use posthouse_spec::cbor::Octets;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{
    Base64, ChallengeRequest, ChallengeResponse, ErrorBody, LoginRequest, LoginResponse,
};
use posthouse_spec::limits::{MAX_CLOCK_SKEW_MS, MAX_HTTP_BODY};
use posthouse_spec::manifest::{Manifest, WELL_KNOWN_PATH};
use posthouse_spec::{Millis, Signed};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::url::RelayUrl;
use crate::clock;
use crate::error::ClientError;
use crate::vault::owner::Owner;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: the relay may have to ask another one first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The own relay.
pub(crate) struct Relay {
    http: reqwest::Client,
    url: RelayUrl,
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    token: Option<Arc<str>>,
    /// How far our clock is ahead of the relay's, milliseconds; negative where it is behind.
    clock_ahead: i64,
}

impl Relay {
    /// Prepares to talk to the relay; nothing is sent.
    pub(crate) fn new(url: RelayUrl) -> Result<Self, ClientError> {
        // Fails where another part of the program has chosen a provider already, which is as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if url.is_loopback() {
            builder = builder.no_proxy();
        }
        if let Some(address) = url.loopback_address() {
            builder = builder.resolve(url.host(), address);
        }
        let http = builder.build().map_err(|error| ClientError::BadRelayUrl {
            url: url.as_str().to_owned(),
            why: format!("no HTTP client can be made for it: {error}"),
        })?;
        Ok(Self { http, url, session: Mutex::default() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &RelayUrl {
        &self.url
    }

    /// By how much our clock differs from the relay's as of the last login, where that is more than the network admits;
    /// positive where ours is ahead. Milliseconds.
    pub(crate) async fn clock_trouble(&self) -> Option<i64> {
        let ahead = self.session.lock().await.clock_ahead;
        (ahead.unsigned_abs() > MAX_CLOCK_SKEW_MS).then_some(ahead)
    }

    /// The time by which claims are made: ours, or the relay's where ours is wrong, so that a wrong clock keeps nobody from
    /// being invited.
    pub(crate) async fn time(&self) -> Millis {
        let now = clock::now();
        match self.clock_trouble().await {
            Some(ahead) if ahead > 0 => Millis(now.0.saturating_sub(ahead.unsigned_abs())),
            Some(behind) => now.after(behind.unsigned_abs()),
            None => now,
        }
    }

    /// The relay's own manifest, unverified.
    pub(crate) async fn manifest(&self, doing: &str) -> Result<Signed<Manifest>, ClientError> {
        let request = self.http.get(self.url.http(WELL_KNOWN_PATH));
        let response = request.send().await.map_err(|error| self.unreachable(doing, &error))?;
        let response = self.refused(doing, response).await?;
        let bytes = self.body(doing, response).await?;
        Signed::from_bytes(bytes.into()).map_err(|fault| self.wrong(doing, &fault.to_string()))
    }

    /// Asks without a session.
    pub(crate) async fn ask_openly<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.http.post(self.url.http(path)).json(body);
        let response = request.send().await.map_err(|error| self.unreachable(doing, &error))?;
        let response = self.refused(doing, response).await?;
        self.json(doing, response).await
    }

    /// Asks with a session; logs in where there is none, and once more where the relay no longer knows it.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        owner: &Owner,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let mut retried = false;
        loop {
            let token = self.token(owner).await?;
            let mut request = self.http.request(method.clone(), self.url.http(path)).bearer_auth(&token);
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(|error| self.unreachable(doing, &error))?;
            match self.refused(doing, response).await {
                Ok(response) => return self.json(doing, response).await,
                Err(ClientError::Refused { reason: Refusal::Unauthenticated, .. }) if !retried => {
                    retried = true;
                    self.forget_token(&token).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A session token, by login where there is none.
    pub(crate) async fn token(&self, owner: &Owner) -> Result<Arc<str>, ClientError> {
        let mut session = self.session.lock().await;
        if let Some(token) = &session.token {
            return Ok(token.clone());
        }
        let (token, clock_ahead) = self.login(owner).await?;
        *session = Session { token: Some(token.clone()), clock_ahead };
        Ok(token)
    }

    /// The relay does not take this token any more.
    pub(crate) async fn forget_token(&self, token: &str) {
        let mut session = self.session.lock().await;
        if session.token.as_deref() == Some(token) {
            session.token = None;
        }
    }

    async fn login(&self, owner: &Owner) -> Result<(Arc<str>, i64), ClientError> {
        let doing = format!("log in as {}", owner.alias);
        let (account, device) = (owner.account.id(), owner.device.device_id());
        let challenge: ChallengeResponse =
            self.ask_openly(&doing, "/v1/challenges", &ChallengeRequest { account, device }).await?;
        if challenge.domain != owner.alias.domain {
            return Err(ClientError::OtherRelay {
                url: self.url.as_str().to_owned(),
                expected: owner.alias.domain.clone(),
                found: challenge.domain,
            });
        }
        let ahead = ahead_of(clock::now(), challenge.now);
        let octets: Octets<32> = Octets::new(challenge.challenge.0)
            .map_err(|fault| self.wrong(&doing, &format!("the challenge: {fault}")))?;
        let login =
            owner.device.sign(&Login { domain: challenge.domain, account, device, challenge: octets });
        let answer: LoginResponse =
            self.ask_openly(&doing, "/v1/sessions", &LoginRequest { login: Base64::of(&login) }).await?;
        Ok((answer.token.into(), ahead))
    }

    async fn json<T: DeserializeOwned>(&self, doing: &str, response: Response) -> Result<T, ClientError> {
        let body = self.body(doing, response).await?;
        serde_json::from_slice(&body).map_err(|error| self.wrong(doing, &format!("its JSON: {error}")))
    }

    /// Reads a body as far as any answer may be long.
    async fn body(&self, doing: &str, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(doing, &error))? {
            if body.len() + chunk.len() > MAX_HTTP_BODY {
                return Err(self.wrong(doing, "the answer is longer than any may be"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Lets a good answer pass, and turns any other into what the relay says of it.
    async fn refused(&self, doing: &str, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(doing, response).await?;
        let Ok(said) = serde_json::from_slice::<ErrorBody>(&body) else {
            return Err(self.without_reason(doing, status));
        };
        Err(ClientError::Refused { doing: doing.to_owned(), reason: said.error, detail: said.detail })
    }

    fn without_reason(&self, doing: &str, status: StatusCode) -> ClientError {
        self.wrong(doing, &format!("HTTP {status} without a reason; is it a Posthouse relay?"))
    }

    pub(crate) fn unreachable(&self, doing: &str, error: &(dyn std::error::Error + 'static)) -> ClientError {
        ClientError::Unreachable {
            url: self.url.as_str().to_owned(),
            doing: doing.to_owned(),
            why: root_cause(error),
        }
    }

    pub(crate) fn wrong(&self, doing: &str, why: &str) -> ClientError {
        ClientError::WrongAnswer {
            url: self.url.as_str().to_owned(),
            doing: doing.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// The innermost error says what happened; the ones around it only where.
fn root_cause(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn ahead_of(ours: Millis, theirs: Millis) -> i64 {
    let apart = i64::try_from(ours.abs_diff(theirs)).unwrap_or(i64::MAX);
    if ours >= theirs { apart } else { -apart }
}
