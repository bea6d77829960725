//! The values behind the vectors: a few people, two relays and a room, the same in every file.

use bytes::Bytes;
use posthouse_spec::account::*;
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::content::RoomInfo;
use posthouse_spec::envelope::*;
use posthouse_spec::manifest::{MailbagOffer, Manifest, Node};
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
        mailbags: None,
        circuits: None,
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
        banned: None,
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

pub(crate) fn leave_claim() -> LeaveClaim {
    LeaveClaim { room: room(), account: bob(), leaves: list(vec![PublicKey::new(fill(0x60))]) }
}

pub(crate) fn room_info(picture: bool) -> RoomInfo {
    RoomInfo {
        version: 3,
        name: text("Riders"),
        description: text("Who rides when"),
        picture: picture.then(|| octets(b"png")),
    }
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
        (
            "message",
            Item::Message(MessageItem { room, hub: hub.clone(), epoch, body: octets(b"sealed"), mark: None }),
        ),
        ("epoch-end", Item::EpochEnd(EpochEndItem { room, hub: hub.clone(), epoch })),
        ("decided", Item::Decided(DecidedItem { room, hub: hub.clone(), decided: decided() })),
        ("welcome", Item::Welcome(WelcomeItem { room, hub, decided: decided(), bundle: welcome_bundle() })),
        ("undelivered", Item::Undelivered(undelivered_item())),
        ("canary", Item::Canary(CanaryItem { nonce: octets(&fill::<16>(0x71)), answer: true })),
    ]
}

/// A message that carries its origin's mark.
pub(crate) fn marked_message() -> MessageItem {
    MessageItem {
        room: room(),
        hub: domain("a.example"),
        epoch: Epoch(7),
        body: octets(b"sealed"),
        mark: Some(octets(&fill::<44>(0x80))),
    }
}

fn undelivered_item() -> UndeliveredItem {
    UndeliveredItem {
        room: room(),
        mark: octets(&fill::<44>(0x80)),
        what: Undelivered::Expired,
        detail: text("in words"),
    }
}

pub(crate) fn mailbag_offer() -> MailbagOffer {
    MailbagOffer { key: SealKey::new(fill(0xe1)), holders: list(vec![domain("c.example")]) }
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

/// Bytes as a shared buffer.
pub(crate) fn shared(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
