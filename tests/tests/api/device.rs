//! A device of somebody, as far as a test needs one: keys in memory, requests by hand.

use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result, ensure};
use futures::{SinkExt as _, StreamExt as _};
use posthouse_crypto::identity::genesis;
use posthouse_crypto::room::member::{Keys, LeafIdentity, Room, key_package};
use posthouse_crypto::{Account, SealSecret, SigningKey, commit_hash, follow, key_package_hash, lineage};
use posthouse_spec::account::{
    AliasClaim, Chain, ClaimedKeyPackage, ClaimedKeyPackages, DeviceKeys, Invited, KeyClaim, Login,
};
use posthouse_spec::cbor::{Cbor, List, Octets};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::delivery::Delivery;
use posthouse_spec::client::http::Base64;
use posthouse_spec::client::socket::{DeviceAck, Down, Hello, Ready, SOCKET_VERSION, Submit, Up};
use posthouse_spec::room::{CommitClaim, CommitUpload, RelayRef, RoomContext, Suite, WelcomeBundle};
use posthouse_spec::{Alias, Domain, Incarnation, MailboxSeq, Millis, Number, RoomId, Signed};
use posthouse_tests::Relay;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{PATIENCE, base64, decode, welcome};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A device with its account, its session and its socket.
pub(crate) struct Device {
    url: String,
    web: reqwest::Client,
    domain: Domain,
    alias: Alias,
    key: SigningKey,
    pub(crate) account: Account,
    pub(crate) keys: Keys,
    token: String,
    socket: Option<Socket>,
    acked: MailboxSeq,
}

/// An answer: status and JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that must be good.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

/// A value in an answer.
pub(crate) fn read<T: Cbor>(value: &Value) -> Result<T> {
    let bytes: Base64 = serde_json::from_value(value.clone())?;
    Ok(bytes.read()?)
}

fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

/// A nonce that no other claim of this process has.
fn nonce() -> Incarnation {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    Incarnation::new([NEXT.fetch_add(1, Ordering::Relaxed); 16])
}

impl Device {
    pub(crate) async fn register(relay: &Relay, name: &str) -> Result<Self> {
        let rng = &mut rand::rng();
        let domain: Domain = relay.domain().parse()?;
        let (recovery, key) = (SigningKey::generate(rng), SigningKey::generate(rng));
        let keys = DeviceKeys { device: key.device_id(), seal: SealSecret::generate(rng).public() };
        let account = Account::validate(&[genesis(&recovery, keys, domain.clone(), rng, now())])?;
        let mut device = Self {
            url: relay.http_url(),
            web: reqwest::Client::new(),
            alias: Alias { name: name.parse()?, domain: domain.clone() },
            domain,
            key,
            account,
            keys: Keys::load(std::iter::empty()),
            token: String::new(),
            socket: None,
            acked: MailboxSeq(0),
        };
        device.sign_up().await?;
        Ok(device)
    }

    async fn sign_up(&mut self) -> Result<()> {
        let claim = AliasClaim { alias: self.alias.clone(), account: self.account.id(), created: now() };
        let chain = Chain::new(self.account.chain().to_vec())?;
        let request = json!({ "chain": Base64::of(&chain), "claim": Base64::of(&self.key.sign(&claim)) });
        self.post("/v1/accounts", request).await?.ok();
        let who = json!({ "account": self.account.id(), "device": self.key.device_id() });
        let challenge = self.post("/v1/challenges", who).await?.ok();
        let challenge: Base64 = serde_json::from_value(challenge["challenge"].clone())?;
        let login = Login {
            domain: self.domain.clone(),
            account: self.account.id(),
            device: self.key.device_id(),
            challenge: Octets::new(challenge.0)?,
        };
        let session =
            self.post("/v1/sessions", json!({ "login": Base64::of(&self.key.sign(&login)) })).await?.ok();
        self.token = session["token"].as_str().context("a token")?.to_owned();
        Ok(())
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let response = request.bearer_auth(&self.token).send().await?;
        Ok(Answer { status: response.status().as_u16(), body: response.json().await? })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(self.web.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn put(&self, path: &str) -> Result<Answer> {
        self.ask(self.web.put(format!("{}{path}", self.url)).json(&json!({}))).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.ask(self.web.post(format!("{}{path}", self.url)).json(&body)).await
    }

    fn leaf(&self) -> LeafIdentity<'_> {
        LeafIdentity {
            account: self.account.id(),
            home: self.domain.clone(),
            device: &self.key,
            seq: self.account.seq(),
            head: self.account.head(),
        }
    }

    pub(crate) fn key_package(&mut self, suite: Suite, last_resort: bool) -> Result<Vec<u8>> {
        let mut keys = std::mem::replace(&mut self.keys, Keys::load(std::iter::empty()));
        let made = key_package(&mut keys, &self.leaf(), suite, last_resort, &mut rand::rng(), now());
        self.keys = keys;
        Ok(made?.bytes)
    }

    pub(crate) async fn upload(
        &self,
        suite: Suite,
        key_packages: Vec<Vec<u8>>,
        last_resort: Option<Vec<u8>>,
    ) -> Result<Answer> {
        let key_packages: Vec<Base64> = key_packages.into_iter().map(base64).collect();
        let mut body = json!({ "suite": suite.code(), "key_packages": key_packages });
        if let Some(last_resort) = last_resort {
            body["last_resort"] = json!(base64(last_resort));
        }
        self.post("/v1/key-packages", body).await
    }

    pub(crate) async fn stock(&mut self, suite: Suite, count: usize) -> Result<Value> {
        let made: Result<Vec<_>> = (0..count).map(|_| self.key_package(suite, false)).collect();
        Ok(self.upload(suite, made?, None).await?.ok())
    }

    pub(crate) async fn claim(&self, of: &Self, suite: Suite) -> Result<Vec<ClaimedKeyPackage>> {
        let claim = KeyClaim {
            claimant: self.account.id(),
            device: self.key.device_id(),
            alias: self.alias.clone(),
            target: of.account.id(),
            domain: of.domain.clone(),
            suite: u16::try_from(suite.code())?,
            created: now(),
            nonce: nonce(),
        };
        let answer =
            self.post("/v1/claims", json!({ "claim": Base64::of(&self.key.sign(&claim)) })).await?.ok();
        Ok(read::<ClaimedKeyPackages>(&answer["key_packages"])?.into_vec())
    }

    /// Founds a room of one's own.
    pub(crate) async fn found(&mut self, room: RoomId, suite: Suite) -> Result<Room> {
        let (founded, group_info) = self.group(room, suite).await?;
        let request = json!({ "group_info": base64(group_info) });
        let first = self.put_room(room, &request).await?.ok();
        ensure!(first == self.put_room(room, &request).await?.ok(), "a repeat gets another answer");
        Ok(founded)
    }

    /// Tries to found a room that is there already.
    pub(crate) async fn found_as(&mut self, room: RoomId, suite: Suite) -> Result<Answer> {
        let mut own = std::mem::replace(&mut self.keys, Keys::load(std::iter::empty()));
        let group = self.group(room, suite).await;
        std::mem::swap(&mut self.keys, &mut own);
        self.put_room(room, &json!({ "group_info": base64(group?.1) })).await
    }

    async fn put_room(&self, room: RoomId, request: &Value) -> Result<Answer> {
        self.ask(self.web.put(format!("{}/v1/rooms/{room}", self.url)).json(request)).await
    }

    async fn group(&mut self, room: RoomId, suite: Suite) -> Result<(Room, Vec<u8>)> {
        let own = self.get(&format!("/v1/relays/{}", self.domain)).await?.ok();
        let manifest: Signed<posthouse_spec::manifest::Manifest> = read(&own["manifest"])?;
        let manifest = follow(&self.domain, None, &manifest)?;
        let hub = RelayRef { domain: self.domain.clone(), lineage: lineage(&manifest) };
        let mut keys = std::mem::replace(&mut self.keys, Keys::load(std::iter::empty()));
        let context = RoomContext::direct(hub);
        let founded = Room::found(&mut keys, &self.leaf(), room, suite, &context, &mut rand::rng(), now());
        self.keys = keys;
        Ok(founded?)
    }

    pub(crate) async fn invite(
        &mut self,
        room: &mut Room,
        whom: &Self,
        claimed: &[ClaimedKeyPackage],
    ) -> Result<Answer> {
        let packages: Vec<Vec<u8>> = claimed.iter().map(|one| one.key_package.to_vec()).collect();
        let proposed = room.invite(&mut self.keys, &packages)?;
        let invited = claimed.iter().map(|one| Invited {
            account: whom.account.id(),
            device: one.device,
            domain: whom.domain.clone(),
            key_package: key_package_hash(&one.key_package),
            ticket: one.ticket,
        });
        let bundle = WelcomeBundle {
            welcome: Octets::new(proposed.welcome.context("a Welcome")?)?,
            group_info: Octets::new(proposed.group_info)?,
            invited: List::new(invited.collect())?,
        };
        self.commit(room, proposed.commit, Some(bundle)).await
    }

    pub(crate) async fn commit(
        &self,
        room: &Room,
        commit: Vec<u8>,
        welcome: Option<WelcomeBundle>,
    ) -> Result<Answer> {
        let claim = CommitClaim { room: room.id(), epoch: room.epoch(), commit: commit_hash(&commit) };
        let upload = CommitUpload { claim: self.key.sign(&claim), commit: Octets::new(commit)?, welcome };
        self.post(&format!("/v1/rooms/{}/commits", room.id()), json!({ "upload": Base64::of(&upload) })).await
    }

    pub(crate) async fn connect(&mut self) -> Result<Ready> {
        let mut request =
            format!("{}/v1/socket", self.url.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        self.socket = Some(connect_async(request).await?.0);
        let hello = Hello {
            version: SOCKET_VERSION,
            incarnation: Incarnation::new([1; 16]),
            acked: self.acked,
            last_number: Number(0),
        };
        self.send(Up::Hello(hello)).await?;
        match self.frame().await? {
            Down::Ready(ready) => Ok(ready),
            other => anyhow::bail!("expected Ready, got {other:?}"),
        }
    }

    /// Connects until the relay has heard the acknowledgement that the connection before has carried.
    pub(crate) async fn reconnect_until_acked(&mut self, through: MailboxSeq) -> Result<Ready> {
        loop {
            let ready = self.connect().await?;
            if ready.acked >= through {
                return Ok(ready);
            }
        }
    }

    async fn send(&mut self, frame: Up) -> Result<()> {
        let socket = self.socket.as_mut().context("a socket")?;
        Ok(socket.send(Message::binary(frame.to_cbor())).await?)
    }

    pub(crate) async fn frame(&mut self) -> Result<Down> {
        let socket = self.socket.as_mut().context("a socket")?;
        loop {
            let message = timeout(PATIENCE, socket.next()).await.context("nothing came")?;
            if let Message::Binary(bytes) = message.context("the socket closed")?? {
                return decode(&bytes);
            }
        }
    }

    pub(crate) async fn submit(&mut self, room: &Room, number: u64, body: Vec<u8>) -> Result<()> {
        let (number, body) = (Number(number), Octets::new(body)?);
        self.send(Up::Submit(Submit { room: room.id(), epoch: room.epoch(), number, body })).await
    }

    pub(crate) async fn acknowledge(&mut self, through: MailboxSeq) -> Result<()> {
        self.acked = through;
        self.send(Up::Ack(DeviceAck { through })).await
    }

    /// The next refusal; what is accepted before it is passed over.
    pub(crate) async fn refusal(&mut self) -> Result<(Number, Refusal)> {
        loop {
            if let Down::Refused(refused) = self.frame().await? {
                return Ok((refused.number, refused.reason));
            }
        }
    }

    /// The next message or Welcome of the mailbox.
    pub(crate) async fn delivery(&mut self) -> Result<(MailboxSeq, Delivery)> {
        loop {
            if let Down::Push(push) = self.frame().await? {
                let delivery = Delivery::from_cbor(&push.item)?;
                if matches!(delivery, Delivery::Message(_) | Delivery::Welcome(_)) {
                    return Ok((push.seq, delivery));
                }
            }
        }
    }

    /// Joins the room of the next Welcome.
    pub(crate) async fn join(&mut self) -> Result<Room> {
        let (seq, delivery) = self.delivery().await?;
        let welcome = welcome(delivery)?;
        let room = Room::join(&mut self.keys, &welcome.welcome, &welcome.group_info)?;
        self.acknowledge(seq).await?;
        Ok(room)
    }
}
