//! A relay for tests that answers questions over HTTP: who people are, their key packages, and what it decides. It judges
//! commits as a real one does, and puts what follows into mailboxes, which the test hands out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use posthouse_crypto::room::Observer;
use posthouse_spec::account::{AccountRecord, Chain, ClaimedKeyPackage, ClaimedKeyPackages, KeyClaim};
use posthouse_spec::cbor::{Cbor as _, List};
use posthouse_spec::client::delivery::{DecidedDelivery, WelcomeDelivery};
use posthouse_spec::client::http::{Base64, ClaimRequest, CommitRequest, RoomCreate};
use posthouse_spec::client::{Delivery, Refusal};
use posthouse_spec::room::{CommitUpload, Decided, Decision};
use posthouse_spec::{AccountId, Ballot, Domain, Epoch, Incarnation, Millis, RoomId, Signed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::world::{Person, World};
use crate::clock;
use crate::vault::outbox::Outgoing;

/// What the hub says instead of an answer.
type Refused = (Refusal, &'static str);

/// A relay that serves one world.
pub(crate) struct Hub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    world: Arc<World>,
    people: BTreeMap<AccountId, Known>,
    rooms: BTreeMap<RoomId, Room>,
    claims: BTreeMap<(AccountId, Incarnation), (Signed<KeyClaim>, Vec<u8>)>,
    /// What each account's mailbox holds that was not handed out.
    mailboxes: BTreeMap<AccountId, Vec<Delivery>>,
    asked: Vec<String>,
    faults: Faults,
}

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Faults {
    /// The hub does not answer commits.
    pub(crate) hub_away: bool,
    /// Their relays are out of reach: nothing is known of them.
    pub(crate) away: BTreeSet<AccountId>,
    /// The answers to the next commits are lost.
    pub(crate) lose_answers: usize,
    /// The next commits are refused.
    pub(crate) refuse: Vec<Refusal>,
    /// Records are of somebody else.
    pub(crate) false_records: bool,
}

struct Known {
    alias: String,
    record: AccountRecord,
    packages: Vec<ClaimedKeyPackage>,
}

struct Room {
    observer: Observer,
    decided: Vec<Decided>,
}

impl Hub {
    pub(crate) async fn new(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State {
            world: Arc::new(world),
            people: BTreeMap::new(),
            rooms: BTreeMap::new(),
            claims: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            asked: Vec::new(),
            faults: Faults::default(),
        }));
        let served = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Self { url, state, task }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    pub(crate) fn world(&self) -> Arc<World> {
        self.state().world.clone()
    }

    /// Somebody with an account here, and key packages for `invitations` of them.
    pub(crate) async fn person(&self, name: &str, invitations: usize) -> Person {
        let world = self.world();
        let person = world.person_at(name, &self.url).await;
        let mut packages = Vec::new();
        for _ in 0..invitations {
            packages.push(person.claimed().await);
        }
        let owner = &person.context().owner;
        let chain: Chain = List::new(owner.account.chain().to_vec()).expect("a chain");
        let record = AccountRecord { binding: world.bind(owner), chain };
        let known = Known { alias: owner.alias.to_string(), record, packages };
        self.state().people.insert(owner.account.id(), known);
        person
    }

    /// Lets something go wrong.
    pub(crate) fn fault(&self, fault: impl FnOnce(&mut Faults)) {
        fault(&mut self.state().faults);
    }

    /// Everything that was asked, as method and path.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Hands somebody what is in their mailbox.
    pub(crate) async fn hand_out(&self, to: &Person) -> usize {
        let account = to.context().owner.account.id();
        let items = self.state().mailboxes.remove(&account).unwrap_or_default();
        to.gets(&items).await;
        items.len()
    }

    /// What is in somebody's mailbox, which the test hands out.
    pub(crate) fn take(&self, of: &Person) -> Vec<Delivery> {
        self.state().mailboxes.remove(&of.context().owner.account.id()).unwrap_or_default()
    }

    /// Carries what somebody has sealed to all others of its room.
    pub(crate) async fn carry(&self, from: &Person) -> Vec<Outgoing> {
        let sealed = from.seals(64).await;
        let own = from.context().owner.account.id();
        let mut state = self.state();
        for item in &sealed {
            let message = state.world.message(item);
            let accounts = state.rooms[&item.room].accounts();
            for account in accounts.into_iter().filter(|account| *account != own) {
                state.mailboxes.entry(account).or_default().push(message.clone());
            }
        }
        sealed
    }

    /// Lets everybody work, seal and receive until nothing moves.
    pub(crate) async fn settle(&self, people: &[&Person]) {
        for _ in 0..32 {
            let mut moved = false;
            for person in people {
                person.works().await;
                moved |= !self.carry(person).await.is_empty();
            }
            for person in people {
                moved |= self.hand_out(person).await > 0;
            }
            let mut waits = false;
            for person in people {
                waits |= person.lets_time_pass().await;
            }
            if !moved && !waits {
                return;
            }
        }
    }

    /// Who is in a room, as the hub sees it.
    pub(crate) fn accounts(&self, room: &RoomId) -> BTreeSet<AccountId> {
        self.state().rooms[room].accounts()
    }

    /// The room's epoch, as the hub sees it.
    pub(crate) fn epoch(&self, room: &RoomId) -> Epoch {
        self.state().rooms[room].observer.epoch()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Room {
    fn accounts(&self) -> BTreeSet<AccountId> {
        self.observer.members().iter().map(|leaf| leaf.member.account).collect()
    }
}

impl State {
    fn answer(&mut self, method: &str, path: &str, body: &str) -> Result<String, Refused> {
        self.asked.push(format!("{method} {path}"));
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split(['/', '?']).collect();
        match (method, &parts[..]) {
            ("POST", ["challenges"]) => Ok(format!(
                r#"{{"challenge":"{}","domain":"h.localhost","now":{}}}"#,
                "A".repeat(43),
                clock::now().0
            )),
            ("POST", ["sessions"]) => Ok(r#"{"token":"t","expires":1}"#.to_owned()),
            ("GET", ["relays", _]) => Ok(format!(r#"{{"manifest":{}}}"#, self.manifest())),
            ("GET", ["aliases", alias]) => {
                let known = self.people.iter().find(|(_, known)| known.alias == *alias);
                let account = known.map(|(account, _)| *account);
                self.record(account.ok_or((Refusal::UnknownAccount, "nobody of that name"))?)
            }
            ("GET", ["accounts", account, _]) => self.record(account.parse().expect("an account")),
            ("POST", ["claims"]) => self.claim(body),
            ("PUT", ["rooms", room]) => self.found(room.parse().expect("a room"), body),
            ("POST", ["rooms", room, "commits"]) => self.commit(room.parse().expect("a room"), body),
            _ => Err((Refusal::NotFound, "the test's relay does not answer that")),
        }
    }

    fn manifest(&self) -> String {
        json(&Base64::of(self.world.manifest.signed()))
    }

    fn record(&self, account: AccountId) -> Result<String, Refused> {
        if self.faults.away.contains(&account) {
            return Err((Refusal::RelayUnreachable, "their relay does not answer"));
        }
        let shown = if self.faults.false_records {
            self.people.iter().find(|(other, _)| **other != account).map(|(_, known)| known)
        } else {
            self.people.get(&account)
        };
        let known = shown.ok_or((Refusal::UnknownAccount, "no such account"))?;
        Ok(format!(r#"{{"record":{},"manifest":{}}}"#, json(&Base64::of(&known.record)), self.manifest()))
    }

    fn claim(&mut self, body: &str) -> Result<String, Refused> {
        let request: ClaimRequest = serde_json::from_str(body).expect("a claim");
        let signed: Signed<KeyClaim> = request.claim.read().expect("a claim");
        let claim = signed.peek().expect("a claim");
        if self.faults.away.contains(&claim.target) {
            return Err((Refusal::RelayUnreachable, "their relay does not answer"));
        }
        let key = (claim.target, claim.nonce);
        if !self.claims.contains_key(&key) {
            let known = self.people.get_mut(&claim.target).expect("known");
            let package = if known.packages.is_empty() { None } else { Some(known.packages.remove(0)) };
            let packages: ClaimedKeyPackages = List::new(package.into_iter().collect()).expect("at most one");
            self.claims.insert(key, (signed, packages.to_cbor()));
        }
        Ok(format!(r#"{{"key_packages":{}}}"#, json(&Base64(self.claims[&key].1.clone()))))
    }

    fn found(&mut self, room: RoomId, body: &str) -> Result<String, Refused> {
        if self.faults.hub_away {
            return Err((Refusal::RelayUnreachable, "the hub does not answer"));
        }
        let request: RoomCreate = serde_json::from_str(body).expect("a room");
        let observer = Observer::from_group_info(&request.group_info.0).expect("a group info");
        self.rooms.entry(room).or_insert(Room { observer, decided: Vec::new() });
        Ok(format!(r#"{{"room":"{room}","epoch":0,"hub":"h.localhost"}}"#))
    }

    fn commit(&mut self, id: RoomId, body: &str) -> Result<String, Refused> {
        if self.faults.hub_away {
            return Err((Refusal::RelayUnreachable, "the hub does not answer"));
        }
        if !self.faults.refuse.is_empty() {
            return Err((self.faults.refuse.remove(0), "so says the test"));
        }
        let request: CommitRequest = serde_json::from_str(body).expect("a commit");
        let upload: CommitUpload = request.upload.read().expect("an upload");
        let claim = upload.claim.peek().expect("a claim");
        let world = self.world.clone();
        let room = self.rooms.get_mut(&id).ok_or((Refusal::UnknownRoom, "no such room"))?;
        if claim.epoch != room.observer.epoch() {
            let earlier = room.decided.iter().find(|decided| {
                decided.decision.peek().is_ok_and(|decision| decision.commit == claim.commit)
            });
            let earlier = earlier.ok_or((Refusal::StaleEpoch, "another commit was decided"))?;
            return Ok(format!(r#"{{"decided":{}}}"#, json(&Base64::of(earlier))));
        }
        let judged = room.observer.judge(&upload.commit).map_err(|error| {
            tracing::info!(%error, "refused");
            (Refusal::Policy, "the room's policy forbids it")
        })?;
        let (before, relays) = (room.accounts(), room.observer.relays());
        let decision = Decision {
            room: id,
            epoch: claim.epoch,
            ballot: Ballot(0),
            commit: claim.commit,
            manifest: world.manifest.seq,
        };
        let decided = Decided { decision: world.sign(&decision), commit: upload.commit.clone() };
        room.observer.apply(judged).expect("judged before");
        room.decided.push(decided.clone());
        self.spread(id, &before, relays, &decided, &upload);
        if self.faults.lose_answers > 0 {
            self.faults.lose_answers -= 1;
            return Err((Refusal::Internal, "the answer is lost"));
        }
        Ok(format!(r#"{{"decided":{}}}"#, json(&Base64::of(&decided))))
    }

    fn spread(
        &mut self,
        room: RoomId,
        before: &BTreeSet<AccountId>,
        relays: Vec<Domain>,
        decided: &Decided,
        upload: &CommitUpload,
    ) {
        let relays = List::new(relays).expect("few");
        for account in before {
            let item =
                Delivery::Decided(DecidedDelivery { room, decided: decided.clone(), relays: relays.clone() });
            self.mailboxes.entry(*account).or_default().push(item);
        }
        let Some(bundle) = &upload.welcome else { return };
        for invited in bundle.invited.iter() {
            let claim = self
                .claims
                .values()
                .map(|(claim, _)| claim)
                .find(|claim| {
                    claim.peek().is_ok_and(|claim| {
                        claim.target == invited.account && upload.claim.kid() == claim.device.into()
                    })
                })
                .expect("claimed before");
            let item = Delivery::Welcome(WelcomeDelivery {
                room,
                claim: claim.clone(),
                decided: decided.clone(),
                welcome: bundle.welcome.clone(),
                group_info: bundle.group_info.clone(),
                invited: List::default(),
                received: Millis(5),
            });
            self.mailboxes.entry(invited.account).or_default().push(item);
        }
    }
}

fn json(value: &Base64) -> String {
    serde_json::to_string(value).expect("a string")
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut request = Vec::new();
    let body_at = loop {
        if let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..at]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            if request.len() >= at + 4 + length.unwrap_or(0_usize) {
                break at + 4;
            }
        }
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    };
    let head = String::from_utf8_lossy(&request[..body_at]).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = String::from_utf8_lossy(&request[body_at..]).into_owned();
    let answer = state.lock().expect("nobody panics with it").answer(method, path, &body);
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err((refusal, why)) => (400, format!(r#"{{"error":"{refusal}","detail":"{why}"}}"#)),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}
