//! The values behind the vectors: a few people, two relays and a room, the same in every file.

use bytes::Bytes;
use posthouse_spec::account::*;
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::client::delivery::*;
use posthouse_spec::client::{Refusal, socket};
use posthouse_spec::content::{Disposition, MimiContent, NestedPart, PartBody};
use posthouse_spec::envelope::*;
use posthouse_spec::manifest::{Manifest, Node};
use posthouse_spec::peer::{deliver, hello, keys, room as peer_room};
use posthouse_spec::room::*;
use posthouse_spec::*;

/// `N` bytes counting up from `first`: easy to find again in a dump.
pub(crate) fn fill<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

pub(crate) fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

pub(crate) fn octets<const MAX: usize>(bytes: &[u8]) -> Octets<MAX> {
    Octets::new(bytes.to_vec()).unwrap()
}

pub(crate) fn text<const MAX: usize>(value: &str) -> Text<MAX> {
    Text::new(value).unwrap()
}

pub(crate) fn list<T, const MAX: usize>(values: Vec<T>) -> List<T, MAX> {
    List::new(values).unwrap()
}

/// A container with a made-up signature.
pub(crate) fn signed<T: Payload>(value: &T) -> Signed<T> {
    Signed::assemble(PublicKey::new(fill(0xd0)), &value.to_cbor(), Signature::new(fill(0x50)))
}

pub(crate) const NOW: Millis = Millis(1_790_000_000_000);

pub(crate) fn alice() -> AccountId {
    AccountId::new(fill(0xa0))
}

pub(crate) fn bob() -> AccountId {
    AccountId::new(fill(0xb0))
}

pub(crate) fn phone() -> DeviceId {
    DeviceId::new(fill(0xd0))
}

pub(crate) fn room() -> RoomId {
    RoomId::new(fill(0x40))
}

pub(crate) fn device_keys() -> DeviceKeys {
    DeviceKeys { device: phone(), seal: SealKey::new(fill(0xe0)) }
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        recovery: PublicKey::new(fill(0x10)),
        device: device_keys(),
        home: domain("a.example"),
        salt: Incarnation::new(fill(0x20)),
    }
}

pub(crate) fn event(body: EventBody) -> Event {
    let first = matches!(body, EventBody::Genesis(_));
    Event {
        seq: ChainSeq(if first { 0 } else { 1 }),
        previous: (!first).then(|| EventHash::new(fill(0x30))),
        body,
        created: NOW,
    }
}

/// One body of every kind.
pub(crate) fn event_bodies() -> Vec<(&'static str, EventBody)> {
    let rotated = RotateRecovery { recovery: PublicKey::new(fill(0x11)) };
    vec![
        ("genesis", EventBody::Genesis(genesis())),
        ("add-device", EventBody::AddDevice(AddDevice { device: device_keys() })),
        ("revoke-device", EventBody::RevokeDevice(revoke_device())),
        ("rotate-recovery", EventBody::RotateRecovery(rotated)),
        ("set-home", EventBody::SetHome(SetHome { home: domain("b.example") })),
    ]
}

pub(crate) fn revoke_device() -> RevokeDevice {
    RevokeDevice { device: phone(), undo_from: Some(ChainSeq(2)) }
}

pub(crate) fn chain() -> Chain {
    list(event_bodies().into_iter().take(2).map(|(_, body)| signed(&event(body))).collect())
}

pub(crate) fn alias_claim() -> AliasClaim {
    AliasClaim { alias: "alice@a.example".parse().unwrap(), account: alice(), created: NOW }
}

pub(crate) fn alias_binding() -> AliasBinding {
    AliasBinding { claim: signed(&alias_claim()), bound: NOW.after(1000) }
}

pub(crate) fn leaf_claim() -> LeafClaim {
    LeafClaim {
        account: alice(),
        home: domain("a.example"),
        device: phone(),
        seq: ChainSeq(0),
        head: EventHash::new(fill(0x30)),
        leaf_key: PublicKey::new(fill(0x60)),
        not_after: NOW.after(limits::LEAF_CLAIM_LIFETIME_MS),
    }
}

pub(crate) fn login() -> Login {
    let challenge = octets(&fill::<32>(0x70));
    Login { domain: domain("a.example"), account: alice(), device: phone(), challenge }
}

pub(crate) fn key_claim() -> KeyClaim {
    KeyClaim {
        claimant: alice(),
        device: phone(),
        alias: "alice@a.example".parse().unwrap(),
        target: bob(),
        domain: domain("b.example"),
        suite: 0x004e,
        created: NOW,
        nonce: Incarnation::new(fill(0x80)),
    }
}

pub(crate) fn claimed() -> ClaimedKeyPackage {
    ClaimedKeyPackage {
        device: phone(),
        key_package: octets(b"key package"),
        ticket: Ticket::new(fill(0x90)),
        last_resort: false,
    }
}

pub(crate) fn account_record() -> AccountRecord {
    AccountRecord { binding: signed(&alias_binding()), chain: chain() }
}

pub(crate) fn invited() -> Invited {
    Invited {
        account: bob(),
        device: phone(),
        domain: domain("b.example"),
        key_package: KeyPackageHash::new(fill(0x98)),
        ticket: Ticket::new(fill(0x90)),
    }
}

pub(crate) fn node() -> Node {
    Node { key: PublicKey::new(fill(0xd0)), not_before: NOW, not_after: NOW.after(86_400_000) }
}

/// The first manifest of a relay, or a later one.
pub(crate) fn manifest(first: bool) -> Manifest {
    Manifest {
        domain: domain("a.example"),
        seq: ManifestSeq(if first { 1 } else { 2 }),
        previous: (!first).then(|| ManifestHash::new(fill(0x31))),
        root: PublicKey::new(fill(0x12)),
        next_root: KeyHash::new(fill(0x13)),
        ordering: PublicKey::new(fill(0x14)),
        nodes: list(vec![node()]),
        addresses: list(vec![text("/dns4/a.example/udp/6481/quic-v1"), text("/dns4/a.example/tcp/6481")]),
        client_url: text("https://a.example"),
        created: NOW,
        lineage: (!first).then(|| Lineage::new(fill(0x15))),
    }
}

pub(crate) fn relay_ref() -> RelayRef {
    RelayRef { domain: domain("a.example"), lineage: Lineage::new(fill(0x15)) }
}

pub(crate) fn group_context() -> RoomContext {
    RoomContext {
        kind: RoomKind::Group,
        owners: list(vec![alice()]),
        admins: list(vec![bob()]),
        policy: RoomPolicy { write: Role::Member, add: Role::Admin, change: Role::Owner },
        ordering: Ordering::single(relay_ref()),
    }
}

pub(crate) fn decision() -> Decision {
    Decision {
        room: room(),
        epoch: Epoch(7),
        ballot: Ballot(0),
        commit: CommitHash::new(fill(0x41)),
        manifest: ManifestSeq(1),
    }
}

pub(crate) fn decided() -> Decided {
    Decided { decision: signed(&decision()), commit: octets(b"commit") }
}

pub(crate) fn commit_claim() -> CommitClaim {
    CommitClaim { room: room(), epoch: Epoch(7), commit: CommitHash::new(fill(0x41)) }
}

pub(crate) fn rejoin_claim() -> RejoinClaim {
    RejoinClaim { room: room(), epoch: Epoch(7), leaf_key: PublicKey::new(fill(0x60)) }
}

pub(crate) fn welcome_bundle() -> WelcomeBundle {
    WelcomeBundle {
        welcome: octets(b"welcome"),
        group_info: octets(b"group info"),
        invited: list(vec![invited()]),
    }
}

pub(crate) fn commit_upload(adds: bool) -> CommitUpload {
    CommitUpload {
        claim: signed(&commit_claim()),
        commit: octets(b"commit"),
        welcome: adds.then(welcome_bundle),
    }
}

pub(crate) fn items() -> Vec<(&'static str, Item)> {
    let (room, hub, epoch) = (room(), domain("a.example"), Epoch(7));
    vec![
        ("message", Item::Message(MessageItem { room, hub: hub.clone(), epoch, body: octets(b"sealed") })),
        ("epoch-end", Item::EpochEnd(EpochEndItem { room, hub: hub.clone(), epoch })),
        ("decided", Item::Decided(DecidedItem { room, hub: hub.clone(), decided: decided() })),
        ("welcome", Item::Welcome(WelcomeItem { room, hub, decided: decided(), bundle: welcome_bundle() })),
    ]
}

pub(crate) fn envelope() -> Envelope {
    let encoded = |(_, item): (&str, Item)| octets(&item.to_cbor());
    Envelope {
        version: ENVELOPE_VERSION,
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: Incarnation::new(fill(0x21)),
        first: LaneSeq(41),
        created: NOW,
        items: list(items().into_iter().take(2).map(encoded).collect()),
    }
}

pub(crate) fn peer_hello() -> hello::Hello {
    hello::Hello {
        min_version: 1,
        max_version: 1,
        manifest: signed(&manifest(true)),
        now: NOW,
        cursors: list(vec![lane_cursor()]),
    }
}

pub(crate) fn lane_cursor() -> hello::LaneCursor {
    let incarnation = Incarnation::new(fill(0x21));
    hello::LaneCursor { class: LaneClass::Control, incarnation, next: LaneSeq(5) }
}

pub(crate) fn peer_refusal() -> hello::PeerRefusal {
    hello::PeerRefusal { rule: hello::PeerRule::Gap, detail: text("expected item 42, got 44") }
}

pub(crate) fn room_refusal(stale: bool) -> peer_room::RoomRefusal {
    let reason = if stale { Refusal::StaleEpoch } else { Refusal::UnknownRoom };
    peer_room::RoomRefusal { reason, detail: text("in words"), decided: stale.then(decided) }
}

pub(crate) fn open() -> deliver::Open {
    let incarnation = Incarnation::new(fill(0x21));
    deliver::Open { class: LaneClass::Messages, incarnation, oldest: LaneSeq(41) }
}

pub(crate) fn credit() -> deliver::Credit {
    deliver::Credit { items: 4096, bytes: 16_777_216 }
}

pub(crate) fn refused_item() -> deliver::RefusedItem {
    deliver::RefusedItem {
        seq: LaneSeq(42),
        reason: deliver::ItemRefusal::Quota,
        detail: text("mailbox full"),
    }
}

pub(crate) fn ack() -> deliver::Ack {
    deliver::Ack { next: LaneSeq(43), refused: list(vec![refused_item()]), credit: credit() }
}

pub(crate) fn receipt_frames() -> Vec<(&'static str, deliver::ReceiptFrame)> {
    use deliver::ReceiptFrame as Frame;
    vec![
        ("resume", Frame::Resume(deliver::Resume { next: LaneSeq(41), credit: credit() })),
        ("ack", Frame::Ack(ack())),
        ("busy", Frame::Busy(deliver::Busy { retry_after_ms: 30_000 })),
        ("refused", Frame::Refused(peer_refusal())),
    ]
}

pub(crate) fn claim_request() -> keys::ClaimRequest {
    keys::ClaimRequest { claim: signed(&key_claim()), claimant: account_record() }
}

pub(crate) fn keys_requests() -> Vec<(&'static str, keys::KeysRequest)> {
    vec![
        ("alias", keys::KeysRequest::Alias("bob".parse().unwrap())),
        ("chain", keys::KeysRequest::Chain(bob())),
        ("claim", keys::KeysRequest::Claim(claim_request())),
    ]
}

pub(crate) fn keys_responses() -> Vec<(&'static str, keys::KeysResponse)> {
    use keys::KeysResponse as Answer;
    vec![
        ("account", Answer::Account(account_record())),
        ("chain", Answer::Chain(chain())),
        ("key-packages", Answer::KeyPackages(list(vec![claimed()]))),
        ("refused", Answer::Refused(room_refusal(false))),
        ("rejected", Answer::Rejected(peer_refusal())),
    ]
}

pub(crate) fn fetch_decisions() -> peer_room::FetchDecisions {
    peer_room::FetchDecisions { room: room(), from: Epoch(5) }
}

pub(crate) fn decisions() -> peer_room::Decisions {
    peer_room::Decisions { decided: list(vec![decided()]), epoch: Epoch(8) }
}

pub(crate) fn room_requests() -> Vec<(&'static str, peer_room::RoomRequest)> {
    use peer_room::RoomRequest as Ask;
    vec![
        ("commit", Ask::Commit(commit_upload(true))),
        ("decisions", Ask::Decisions(fetch_decisions())),
        ("tree", Ask::Tree(room())),
    ]
}

pub(crate) fn room_responses() -> Vec<(&'static str, peer_room::RoomResponse)> {
    use peer_room::RoomResponse as Answer;
    vec![
        ("decided", Answer::Decided(decided())),
        ("decisions", Answer::Decisions(decisions())),
        ("tree", Answer::Tree(octets(b"group info"))),
        ("refused", Answer::Refused(room_refusal(true))),
        ("rejected", Answer::Rejected(peer_refusal())),
    ]
}

pub(crate) fn client_hello() -> socket::Hello {
    socket::Hello {
        version: socket::SOCKET_VERSION,
        incarnation: Incarnation::new(fill(0x22)),
        acked: MailboxSeq(0),
        last_number: Number(0),
    }
}

pub(crate) fn submit() -> socket::Submit {
    socket::Submit { room: room(), epoch: Epoch(7), number: Number(1), body: octets(b"sealed") }
}

pub(crate) fn ups() -> Vec<(&'static str, socket::Up)> {
    vec![
        ("hello", socket::Up::Hello(client_hello())),
        ("submit", socket::Up::Submit(submit())),
        ("ack", socket::Up::Ack(socket::DeviceAck { through: MailboxSeq(12) })),
    ]
}

pub(crate) fn ready() -> socket::Ready {
    socket::Ready {
        domain: domain("a.example"),
        accepted: Number(0),
        submit_window: limits::SUBMIT_WINDOW,
        acked: MailboxSeq(0),
        now: NOW,
        head: MailboxSeq(12),
    }
}

pub(crate) fn push() -> socket::Push {
    let (_, first) = deliveries().remove(0);
    socket::Push { seq: MailboxSeq(12), item: octets(&first.to_cbor()) }
}

pub(crate) fn refused() -> socket::Refused {
    socket::Refused { number: Number(2), reason: Refusal::NumberReused, detail: text("in words") }
}

pub(crate) fn goodbye() -> socket::Goodbye {
    socket::Goodbye { reason: Refusal::ShuttingDown, detail: text("come back in a minute") }
}

pub(crate) fn downs() -> Vec<(&'static str, socket::Down)> {
    use socket::Down;
    vec![
        ("ready", Down::Ready(ready())),
        ("push", Down::Push(push())),
        ("accepted", Down::Accepted(socket::Accepted { through: Number(1) })),
        ("refused", Down::Refused(refused())),
        ("goodbye", Down::Goodbye(goodbye())),
    ]
}

pub(crate) fn deliveries() -> Vec<(&'static str, Delivery)> {
    let (room, origin, epoch) = (room(), domain("b.example"), Epoch(7));
    let message =
        MessageDelivery { room, origin: origin.clone(), epoch, body: octets(b"sealed"), received: NOW };
    let relays = list(vec![domain("a.example"), domain("b.example")]);
    let welcome = WelcomeDelivery {
        room,
        claim: signed(&key_claim()),
        decided: decided(),
        welcome: octets(b"welcome"),
        group_info: octets(b"group info"),
        invited: list(vec![invited()]),
        received: NOW,
    };
    let notice = NoticeDelivery {
        room,
        number: Number(3),
        relay: origin.clone(),
        failure: Failure::Expired,
        detail: text("b.example could not be reached for 30 days"),
    };
    vec![
        ("message", Delivery::Message(message)),
        ("decided", Delivery::Decided(DecidedDelivery { room, decided: decided(), relays })),
        ("welcome", Delivery::Welcome(welcome)),
        ("epoch-end", Delivery::EpochEnd(EpochEndDelivery { room, origin, epoch })),
        ("notice", Delivery::Notice(notice)),
    ]
}

/// A text, and shapes of MIMI content that this version keeps without acting on them.
pub(crate) fn contents() -> Vec<(&'static str, MimiContent)> {
    let hello = MimiContent::text(fill(0xc0), "Grüße über das Posthaus").unwrap();
    let part = |disposition, body| NestedPart { disposition, language: String::new(), body };
    let heart = PartBody::Single { content_type: content::TEXT_PLAIN.into(), content: "❤".into() };
    // An external part, in the order of the draft: 2, type, url, expires, size, algorithm, key, nonce, aad, hash
    // algorithm, hash, description, file name.
    let external = hex::decode("02607821").unwrap();
    let external = [external, b"https://a.example/picture-0000001".to_vec()].concat();
    let mut reader = cbor::Reader::new(&external);
    let mut values: Vec<Vec<u8>> = (0..3).map(|_| reader.raw_value().unwrap().to_vec()).collect();
    values.extend(
        [&[0x00][..], &[0x00], &[0x00], &[0x40], &[0x40], &[0x40], &[0x00], &[0x40], &[0x60], &[0x60]]
            .map(<[u8]>::to_vec),
    );
    vec![
        ("text", hello.clone()),
        (
            "reaction",
            MimiContent {
                in_reply_to: Some(MessageId::new(fill(0x01))),
                part: part(Disposition::REACTION, heart),
                ..hello.clone()
            },
        ),
        (
            "deletion",
            MimiContent {
                replaces: Some(MessageId::new(fill(0x01))),
                part: part(Disposition::RENDER, PartBody::Null),
                ..hello.clone()
            },
        ),
        (
            "unknown-parts",
            MimiContent {
                topic: b"topic".to_vec(),
                expires: Some((true, 3600)),
                // {1: "im:alice@a.example", -1: 32("x"), "f": 1.5}
                extensions: hex::decode(
                    "a30172696d3a616c69636540612e6578616d706c6520d820617861 66f93e00".replace(' ', ""),
                )
                .unwrap(),
                part: part(Disposition(6), PartBody::Other(values)),
                ..hello
            },
        ),
    ]
}

/// Bytes as a shared buffer.
pub(crate) fn shared(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
