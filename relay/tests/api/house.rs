//! A relay of the test's own, and people who live there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use posthouse_crypto::identity::genesis;
use posthouse_crypto::{Account, SealSecret, SigningKey};
use posthouse_relay::config::Config;
use posthouse_relay::server::Server;
use posthouse_spec::account::{AliasClaim, Chain, DeviceKeys, Login};
use posthouse_spec::cbor::Octets;
use posthouse_spec::client::http::{Base64, RegisterRequest};
use posthouse_spec::{Alias, Domain, Millis, Signed};
use serde_json::{Value, json};
use tempfile::TempDir;

/// When the tests happen.
pub(crate) const NOW: Millis = Millis(1_800_000_000_000);

/// A relay that serves, with its folder and its clock.
pub(crate) struct House {
    server: Server,
    pub(crate) url: String,
    pub(crate) web: reqwest::Client,
    clock: Arc<AtomicU64>,
    _folder: TempDir,
}

/// An answer: status and JSON.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The refusal's name.
    pub(crate) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    /// A body that must be there.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// A refusal with this status and name, which says something.
    pub(crate) fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.error()), (status, error), "{}", self.body);
        assert!(self.body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", self.body);
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config =
            Config { domain: "a.localhost".into(), data: folder.path().join("data"), ..Config::default() };
        config.http.listen = "127.0.0.1:0".into();
        config.peers.listen = "127.0.0.1:0".into();
        change(&mut config);
        let clock = Arc::new(AtomicU64::new(NOW.0));
        let hands = Arc::clone(&clock);
        let server =
            Server::bind(config.settings().unwrap(), Arc::new(move || Millis(hands.load(Ordering::Relaxed))))
                .await
                .unwrap();
        let url = server.ready().http.clone();
        Self { server, url, web: reqwest::Client::new(), clock, _folder: folder }
    }

    pub(crate) fn turn_clock(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) async fn close(self) {
        self.server.shutdown().await;
    }

    pub(crate) fn domain(&self) -> Domain {
        "a.localhost".parse().unwrap()
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.ask(self.web.post(format!("{}{path}", self.url)).json(&body), token).await
    }

    pub(crate) async fn put(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.ask(self.web.put(format!("{}{path}", self.url)).json(&body), token).await
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.ask(self.web.get(format!("{}{path}", self.url)), token).await
    }

    pub(crate) async fn delete(&self, path: &str, token: Option<&str>) -> Answer {
        self.ask(self.web.delete(format!("{}{path}", self.url)), token).await
    }

    pub(crate) async fn ask(&self, request: reqwest::RequestBuilder, token: Option<&str>) -> Answer {
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// Registers somebody and logs them in.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let mut person = Person::new(name, &self.domain());
        self.post("/v1/accounts", None, person.registration(None)).await.ok();
        person.token = self.log_in(&person).await.ok()["token"].as_str().unwrap().to_owned();
        person
    }

    pub(crate) async fn challenge(&self, person: &Person) -> Vec<u8> {
        let body = json!({ "account": person.account.id(), "device": person.device.device_id() });
        let answer = self.post("/v1/challenges", None, body).await.ok();
        let challenge: Base64 = serde_json::from_value(answer["challenge"].clone()).unwrap();
        challenge.0
    }

    pub(crate) async fn log_in(&self, person: &Person) -> Answer {
        let challenge = self.challenge(person).await;
        self.post("/v1/sessions", None, person.login(&self.domain(), &challenge)).await
    }
}

/// Somebody with an account of one device.
pub(crate) struct Person {
    pub(crate) alias: Alias,
    pub(crate) device: SigningKey,
    pub(crate) account: Account,
    pub(crate) token: String,
}

impl Person {
    pub(crate) fn new(name: &str, home: &Domain) -> Self {
        let rng = &mut rand::rng();
        let recovery = SigningKey::generate(rng);
        let device = SigningKey::generate(rng);
        let keys = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(rng).public() };
        let first = genesis(&recovery, keys, home.clone(), rng, NOW);
        let account = Account::validate(&[first]).unwrap();
        let alias = Alias { name: name.parse().unwrap(), domain: home.clone() };
        Self { alias, device, account, token: String::new() }
    }

    pub(crate) fn claim(&self) -> Signed<AliasClaim> {
        let claim = AliasClaim { alias: self.alias.clone(), account: self.account.id(), created: NOW };
        self.device.sign(&claim)
    }

    pub(crate) fn chain(&self) -> Base64 {
        Base64::of(&Chain::new(self.account.chain().to_vec()).unwrap())
    }

    pub(crate) fn registration(&self, invite: Option<&str>) -> Value {
        serde_json::to_value(RegisterRequest {
            chain: self.chain(),
            claim: Base64::of(&self.claim()),
            invite: invite.map(str::to_owned),
        })
        .unwrap()
    }

    pub(crate) fn login(&self, domain: &Domain, challenge: &[u8]) -> Value {
        let login = Login {
            domain: domain.clone(),
            account: self.account.id(),
            device: self.device.device_id(),
            challenge: Octets::new(challenge.to_vec()).unwrap(),
        };
        json!({ "login": Base64::of(&self.device.sign(&login)) })
    }
}
