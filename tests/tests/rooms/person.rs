//! A person with one device, who does by hand what a client does.

use posthouse_crypto::room::member::{Keys, LeafIdentity, Opened, Proposed, Room, key_package};
use posthouse_crypto::{Account, SealSecret, SigningKey, identity, verify};
use posthouse_relay::hub::{RoomInfo, RoomRefused};
use posthouse_relay::mailbox::MailboxKey;
use posthouse_relay::store::{ClaimOutcome, StockedKeyPackage, SubmitOutcome};
use posthouse_spec::account::{AliasBinding, AliasClaim, ClaimedKeyPackage, DeviceKeys, Invited, KeyClaim};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::Delivery;
use posthouse_spec::client::socket::Submit;
use posthouse_spec::limits::LEAF_CLAIM_LIFETIME_MS;
use posthouse_spec::room::{CommitClaim, CommitUpload, Decided, RoomContext, WelcomeBundle};
use posthouse_spec::{Alias, Cbor, Epoch, Incarnation, MailboxSeq, Number};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::relay::{NOW, ROOM, Relay, SUITE};

/// Somebody with one device and its keys.
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) device: SigningKey,
    pub(crate) who: MailboxKey,
    pub(crate) keys: Keys,
    pub(crate) room: Option<Room>,
    name: &'static str,
    nonce: u8,
    number: u64,
    seen: MailboxSeq,
    rng: StdRng,
}

impl Person {
    pub(crate) async fn new(seed: u64, name: &'static str, relay: &Relay) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (recovery, device) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let keys = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(&mut rng).public() };
        let genesis = identity::genesis(&recovery, keys, relay.domain.clone(), &mut rng, NOW);
        let account = Account::validate(&[genesis]).expect("a chain of one");
        let alias = Alias { name: name.parse().expect("a name"), domain: relay.domain.clone() };
        let claim = AliasClaim { alias: alias.clone(), account: account.id(), created: NOW };
        let binding = AliasBinding { claim: device.sign(&claim), bound: NOW };
        let binding = relay.ordering.sign(&binding);
        relay.store.register(NOW, &account, &alias.name, &binding, None).await.expect("the store answers");
        let who = MailboxKey { account: account.id(), device: device.device_id() };
        let (keys, seen) = (Keys::load(std::iter::empty()), MailboxSeq(0));
        Self { account, device, who, keys, room: None, name, nonce: 0, number: 0, seen, rng }
    }

    /// Leaves a key package at home.
    pub(crate) async fn stock_up(&mut self, relay: &Relay) {
        let id = leaf(&self.account, &self.device);
        let made = key_package(&mut self.keys, &id, SUITE, false, &mut self.rng, NOW).expect("a key package");
        let not_after = NOW.after(LEAF_CLAIM_LIFETIME_MS);
        let one = vec![StockedKeyPackage { hash: made.hash, bytes: made.bytes.into(), not_after }];
        relay.store.upload(self.who, SUITE, one, None).await.expect("the store answers");
    }

    /// Founds the room of a story, with a context of choice.
    pub(crate) async fn found(&mut self, at: &Relay, context: &RoomContext) -> Result<RoomInfo, RoomRefused> {
        let group_info = self.begin(context);
        at.rooms.found(NOW, self.who, ROOM, &group_info).await
    }

    /// Makes the first state of the room of a story, for its founding.
    pub(crate) fn begin(&mut self, context: &RoomContext) -> Vec<u8> {
        let id = leaf(&self.account, &self.device);
        let (room, group_info) = Room::found(&mut self.keys, &id, ROOM, SUITE, context, &mut self.rng, NOW)
            .expect("founding holds");
        self.room = Some(room);
        group_info
    }

    /// Claims a key package of each device of somebody.
    pub(crate) async fn claim(&mut self, home: &Relay, of: &Self, at: &Relay) -> Vec<ClaimedKeyPackage> {
        self.nonce += 1;
        let alias = Alias { name: self.name.parse().expect("a name"), domain: home.domain.clone() };
        let claim = KeyClaim {
            claimant: self.who.account,
            device: self.who.device,
            alias,
            target: of.who.account,
            domain: at.domain.clone(),
            suite: 3,
            created: NOW,
            nonce: Incarnation::new([self.nonce; 16]),
        };
        let claim = verify(&self.device.sign(&claim), &self.device.public()).expect("just signed");
        match at.store.claim(NOW, &claim).await.expect("the store answers") {
            ClaimOutcome::Claimed(claimed) => claimed.into_vec(),
            ClaimOutcome::UnknownAccount => Vec::new(),
        }
    }

    /// Makes the commit that invites somebody by claimed key packages, and the upload for it.
    pub(crate) fn invite(&mut self, who: &Self, claimed: &[ClaimedKeyPackage]) -> (Proposed, CommitUpload) {
        let packages: Vec<Vec<u8>> = claimed.iter().map(|one| one.key_package.to_vec()).collect();
        let room = self.room.as_mut().expect("in the room");
        let proposed = room.invite(&mut self.keys, &packages).expect("the invitation holds");
        let invited = claimed
            .iter()
            .map(|one| Invited {
                account: who.who.account,
                device: one.device,
                domain: who.account.home().clone(),
                key_package: posthouse_crypto::key_package_hash(&one.key_package),
                ticket: one.ticket,
            })
            .collect();
        let bundle = WelcomeBundle {
            welcome: Octets::new(proposed.welcome.clone().expect("somebody is added")).expect("it fits"),
            group_info: Octets::new(proposed.group_info.clone()).expect("it fits"),
            invited: List::new(invited).expect("it fits"),
        };
        let upload = self.upload(&proposed, Some(bundle));
        (proposed, upload)
    }

    /// Makes a commit that renews the own leaf.
    pub(crate) fn renew(&mut self) -> (Proposed, CommitUpload) {
        let room = self.room.as_mut().expect("in the room");
        let proposed = room.renew(&mut self.keys).expect("a renewal holds");
        let upload = self.upload(&proposed, None);
        (proposed, upload)
    }

    pub(crate) fn upload(&self, proposed: &Proposed, welcome: Option<WelcomeBundle>) -> CommitUpload {
        let claim = CommitClaim { room: ROOM, epoch: proposed.epoch, commit: proposed.hash };
        let commit = Octets::new(proposed.commit.clone()).expect("it fits");
        CommitUpload { claim: self.device.sign(&claim), commit, welcome }
    }

    pub(crate) fn merge(&mut self) {
        self.room.as_mut().expect("in the room").merge_own(&mut self.keys).expect("a commit waits");
    }

    pub(crate) fn drop_own(&mut self) {
        self.room.as_mut().expect("in the room").drop_own(&mut self.keys).expect("a commit waits");
    }

    pub(crate) fn apply(&mut self, decided: &Decided) {
        self.room
            .as_mut()
            .expect("in the room")
            .apply(&mut self.keys, &decided.commit)
            .expect("it was decided");
    }

    /// Has a renewal of one's own decided, and merges it.
    pub(crate) async fn move_on(&mut self, home: &Relay) -> Decided {
        let (_, upload) = self.renew();
        let decided = home.rooms.commit(NOW, self.who, upload).await.expect("it is decided");
        self.merge();
        decided
    }

    pub(crate) async fn say(&mut self, home: &Relay, text: &str) -> SubmitOutcome {
        self.number += 1;
        let room = self.room.as_mut().expect("in the room");
        let body = room.seal(&mut self.keys, text.as_bytes()).expect("it seals");
        let submit = Submit {
            room: ROOM,
            epoch: room.epoch(),
            number: Number(self.number),
            body: Octets::new(body).expect("it fits"),
        };
        home.store.submit(NOW, self.who, submit).await.expect("the store answers")
    }

    /// What has come since the last time, acknowledged.
    pub(crate) async fn news(&mut self, home: &Relay) -> Vec<Delivery> {
        let waiting =
            home.store.pending(self.who, self.seen, 1_000, usize::MAX).await.expect("the store answers");
        if let Some(last) = waiting.last() {
            self.seen = last.seq;
            home.store.acknowledge(self.who, last.seq).await.expect("the store answers");
        }
        waiting.iter().map(|item| Delivery::from_cbor(&item.delivery).expect("a delivery")).collect()
    }

    /// Takes everything that has come as a client does, and gives the texts.
    pub(crate) async fn read(&mut self, home: &Relay) -> Vec<String> {
        let mut texts = Vec::new();
        for delivery in self.news(home).await {
            match delivery {
                Delivery::Welcome(welcome) => {
                    let joined = Room::join(&mut self.keys, &welcome.welcome, &welcome.group_info);
                    self.room = Some(joined.expect("the Welcome holds"));
                }
                Delivery::Decided(decided) => {
                    let epoch = decided.decided.decision.peek().expect("a decision").epoch;
                    if self.room.as_ref().is_some_and(|room| room.epoch() == epoch) {
                        self.apply(&decided.decided);
                    }
                }
                Delivery::Message(message) => {
                    let room = self.room.as_mut().expect("in the room");
                    let Opened { content, .. } = room.open(&mut self.keys, &message.body).expect("it opens");
                    texts.push(String::from_utf8(content).expect("text"));
                }
                Delivery::EpochEnd(_) | Delivery::Notice(_) => {}
            }
        }
        texts
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.room.as_ref().expect("in the room").epoch()
    }
}

fn leaf<'a>(account: &Account, device: &'a SigningKey) -> LeafIdentity<'a> {
    LeafIdentity {
        account: account.id(),
        home: account.home().clone(),
        device,
        seq: account.seq(),
        head: account.head(),
    }
}
