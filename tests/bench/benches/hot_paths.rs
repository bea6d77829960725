//! What each message costs in computation: encoding, signatures, MLS, judging a commit, padding.
//!
//! `cargo bench -p posthouse-bench` prints the times. What sockets and disks add is for the load runs of
//! `posthouse-bench`.

use std::cell::RefCell;

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use posthouse_crypto::room::Observer;
use posthouse_crypto::room::member::{Keys, LeafIdentity, Room, key_package};
use posthouse_crypto::{SigningKey, verify};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::delivery::MessageDelivery;
use posthouse_spec::client::socket::{Push, Submit};
use posthouse_spec::client::{Delivery, Down, Up};
use posthouse_spec::content::{MimiContent, pad, unpad};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, Item, LaneClass, MessageItem};
use posthouse_spec::room::{Ordering, RelayRef, Role, RoomContext, RoomKind, RoomPolicy, Suite};
use posthouse_spec::{
    AccountId, Cbor, ChainSeq, Domain, Epoch, EventHash, Incarnation, LaneSeq, Lineage, MailboxSeq, Millis,
    Number, RoomId, Signed,
};

/// Items of an envelope.
const ITEMS: usize = 64;
/// Size of a sealed body, bytes.
const BODY: usize = 1024;
/// Length of a text, bytes.
const TEXT: usize = 200;
/// When everything here was made.
const NOW: Millis = Millis(1_800_000_000_000);
/// The suites that rooms use.
const SUITES: [Suite; 2] = [Suite::Classic, Suite::PostQuantum];

fn main() {
    divan::main();
}

fn domain(name: &str) -> Domain {
    name.parse().expect("the benchmarks use well-formed domains")
}

fn body<const MAX: usize>() -> Octets<MAX> {
    Octets::new(vec![0x5a; BODY]).expect("a body of 1 KiB is within every limit")
}

fn submit() -> Up {
    Up::Submit(Submit { room: RoomId::new([1; 32]), epoch: Epoch(7), number: Number(123_456), body: body() })
}

fn push() -> Down {
    let delivery = Delivery::Message(MessageDelivery {
        room: RoomId::new([1; 32]),
        origin: domain("a.example"),
        epoch: Epoch(7),
        body: body(),
        received: NOW,
    });
    let item = Octets::new(delivery.to_cbor()).expect("a delivery of 1 KiB is within the limit");
    Down::Push(Push { seq: MailboxSeq(123_456), item })
}

fn envelope() -> Envelope {
    let item = Item::Message(MessageItem {
        room: RoomId::new([1; 32]),
        hub: domain("a.example"),
        epoch: Epoch(7),
        body: body(),
        mark: None,
    });
    let item = Octets::new(item.to_cbor()).expect("an item of 1 KiB is within the limit");
    Envelope {
        version: ENVELOPE_VERSION,
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: Incarnation::new([2; 16]),
        first: LaneSeq(1),
        created: NOW,
        items: List::new(vec![item; ITEMS]).expect("64 items are within the limit"),
    }
}

fn encode(bencher: Bencher<'_, '_>, value: &(impl Cbor + Sync)) {
    let bytes = BytesCount::new(value.to_cbor().len());
    bencher.counter(bytes).bench(|| black_box(value).to_cbor());
}

fn decode<T: Cbor>(bencher: Bencher<'_, '_>, value: &T) {
    let bytes = value.to_cbor();
    bencher.counter(BytesCount::new(bytes.len())).bench(|| T::from_cbor(black_box(&bytes)));
}

#[divan::bench_group]
mod cbor {
    use super::*;

    #[divan::bench]
    fn encode_submit(bencher: Bencher<'_, '_>) {
        encode(bencher, &submit());
    }

    #[divan::bench]
    fn decode_submit(bencher: Bencher<'_, '_>) {
        decode(bencher, &submit());
    }

    #[divan::bench]
    fn encode_push(bencher: Bencher<'_, '_>) {
        encode(bencher, &push());
    }

    /// As a client does: the frame, and the delivery in it.
    #[divan::bench]
    fn decode_push(bencher: Bencher<'_, '_>) {
        let bytes = push().to_cbor();
        bencher.counter(BytesCount::new(bytes.len())).bench(|| match Down::from_cbor(black_box(&bytes)) {
            Ok(Down::Push(push)) => Delivery::from_cbor(&push.item).ok(),
            _ => None,
        });
    }

    #[divan::bench]
    fn encode_envelope_of_64(bencher: Bencher<'_, '_>) {
        encode(bencher, &envelope());
    }

    #[divan::bench]
    fn decode_envelope_of_64(bencher: Bencher<'_, '_>) {
        decode(bencher, &envelope());
    }
}

#[divan::bench_group]
mod signature {
    use super::*;

    #[divan::bench]
    fn sign_envelope_of_64(bencher: Bencher<'_, '_>) {
        let (key, envelope) = (SigningKey::from_seed(&[3; 32]), envelope());
        bencher.counter(ItemsCount::new(ITEMS)).bench(|| key.sign(black_box(&envelope)));
    }

    /// As a relay does with what it received: the container, the strict check, the payload.
    #[divan::bench]
    fn verify_envelope_of_64(bencher: Bencher<'_, '_>) {
        let key = SigningKey::from_seed(&[3; 32]);
        let bytes = key.sign(&envelope()).as_bytes().clone();
        bencher.counter(ItemsCount::new(ITEMS)).bench(|| {
            let signed = Signed::<Envelope>::from_bytes(Bytes::clone(black_box(&bytes)));
            signed.ok().and_then(|signed| verify(&signed, &key.public()).ok())
        });
    }
}

/// A device with its keys in memory.
struct Device {
    key: SigningKey,
    account: AccountId,
    keys: Keys,
}

impl Device {
    fn new(number: u8) -> Self {
        let key = SigningKey::from_seed(&[number; 32]);
        Self { key, account: AccountId::new([number; 32]), keys: Keys::load(std::iter::empty()) }
    }

    fn key_package(&mut self, suite: Suite) -> Vec<u8> {
        let leaf = leaf(&self.key, self.account);
        key_package(&mut self.keys, &leaf, suite, false, &mut rand::rng(), NOW)
            .expect("a device can always make a key package")
            .bytes
    }
}

fn leaf(key: &SigningKey, account: AccountId) -> LeafIdentity<'_> {
    let head = EventHash::new(*account.as_bytes());
    LeafIdentity { account, home: domain("a.example"), device: key, seq: ChainSeq(0), head }
}

/// A group of two, and the observer who saw how it came to be.
struct Pair {
    alice: Device,
    alices_room: Room,
    bob: Device,
    bobs_room: Room,
    observer: Observer,
}

fn pair(suite: Suite) -> Pair {
    let (mut alice, mut bob) = (Device::new(1), Device::new(2));
    let hub = RelayRef { domain: domain("a.example"), lineage: Lineage::new([4; 32]) };
    let context = RoomContext {
        kind: RoomKind::Group,
        owners: List::new(vec![alice.account]).expect("one owner is within the limit"),
        admins: List::default(),
        policy: RoomPolicy { write: Role::Member, add: Role::Admin, change: Role::Admin },
        ordering: Ordering::single(hub),
        banned: None,
    };
    let leaf = leaf(&alice.key, alice.account);
    let id = RoomId::new([5; 32]);
    let (mut alices_room, group_info) =
        Room::found(&mut alice.keys, &leaf, id, suite, &context, &mut rand::rng(), NOW)
            .expect("a group with an owner can be founded");
    let mut observer = Observer::from_group_info(&group_info).expect("a new group can be observed");
    let invitation =
        alices_room.invite(&mut alice.keys, &[bob.key_package(suite)]).expect("an owner may invite");
    let judged = observer.judge(&invitation.commit).expect("the invitation keeps the rules");
    observer.apply(judged).expect("it was judged in this epoch");
    alices_room.merge_own(&mut alice.keys).expect("the invitation waits to be merged");
    let welcome = invitation.welcome.expect("an invitation has a Welcome");
    let bobs_room =
        Room::join(&mut bob.keys, &welcome, &invitation.group_info).expect("who is invited can join");
    Pair { alice, alices_room, bob, bobs_room, observer }
}

fn text() -> Vec<u8> {
    MimiContent::text([6; 16], &"x".repeat(TEXT)).expect("a text of 200 bytes is within the limit").to_cbor()
}

#[divan::bench_group]
mod mls {
    use super::*;

    #[divan::bench(args = SUITES)]
    fn seal_text(bencher: Bencher<'_, '_>, suite: Suite) {
        let (mut pair, text) = (pair(suite), text());
        bencher.bench_local(|| pair.alices_room.seal(&mut pair.alice.keys, black_box(&text)));
    }

    #[divan::bench(args = SUITES)]
    fn open_text(bencher: Bencher<'_, '_>, suite: Suite) {
        let (pair, text) = (RefCell::new(pair(suite)), text());
        // Each message opens once, so that each needs to be sealed first, outside the time that counts.
        let sealed = || {
            let Pair { alice, alices_room, .. } = &mut *pair.borrow_mut();
            alices_room.seal(&mut alice.keys, &text).expect("a member can seal")
        };
        bencher.with_inputs(sealed).bench_local_values(|body| {
            let Pair { bob, bobs_room, .. } = &mut *pair.borrow_mut();
            bobs_room.open(&mut bob.keys, &body).expect("a member can open")
        });
    }

    #[divan::bench(args = SUITES)]
    fn judge_add(bencher: Bencher<'_, '_>, suite: Suite) {
        let mut pair = pair(suite);
        let carol = Device::new(3).key_package(suite);
        let invitation =
            pair.alices_room.invite(&mut pair.alice.keys, &[carol]).expect("an owner may invite");
        bencher.bench_local(|| {
            pair.observer.judge(black_box(&invitation.commit)).expect("the invitation keeps the rules")
        });
    }
}

#[divan::bench_group]
mod padding {
    use super::*;

    #[divan::bench]
    fn pad_text(bencher: Bencher<'_, '_>) {
        let text = text();
        bencher.bench(|| pad(black_box(&text)));
    }

    #[divan::bench]
    fn unpad_text(bencher: Bencher<'_, '_>) {
        let padded = pad(&text());
        bencher.bench(|| unpad(black_box(&padded)).map(<[u8]>::len));
    }
}
