//! The frames behind the vectors, made of the same people, relays and room.

use posthouse_spec::client::delivery::*;
use posthouse_spec::client::{Refusal, socket};
use posthouse_spec::content::{self, Disposition, MimiContent, NestedPart, PartBody};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::{deliver, hello, keys, mailbag, room as peer_room};
use posthouse_spec::*;

use crate::samples::*;

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
        ("record", keys::KeysRequest::Record(bob())),
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

pub(crate) fn mailbag() -> mailbag::Mailbag {
    mailbag::Mailbag {
        origin: domain("a.example"),
        destination: domain("b.example"),
        envelope: EnvelopeId::new(fill(0x90)),
        expires: NOW.after(limits::RETENTION_MS),
        sealed: octets(b"sealed envelope"),
    }
}

pub(crate) fn mailbag_ref() -> mailbag::MailbagRef {
    mailbag::MailbagRef { origin: domain("a.example"), envelope: EnvelopeId::new(fill(0x90)), size: 15 }
}

pub(crate) fn mailbag_list() -> mailbag::MailbagList {
    mailbag::MailbagList { held: list(vec![mailbag_ref()]), total: 1 }
}

pub(crate) fn mailbag_requests() -> Vec<(&'static str, mailbag::MailbagRequest)> {
    use mailbag::MailbagRequest as Ask;
    vec![
        ("leave", Ask::Leave(mailbag())),
        ("list", Ask::List(16)),
        ("take", Ask::Take(mailbag_ref())),
        ("drop", Ask::Drop(list(vec![mailbag_ref()]))),
    ]
}

pub(crate) fn mailbag_responses() -> Vec<(&'static str, mailbag::MailbagResponse)> {
    use mailbag::MailbagResponse as Answer;
    vec![
        ("held", Answer::Held(NOW.after(limits::RETENTION_MS))),
        ("list", Answer::List(mailbag_list())),
        ("mailbag", Answer::Mailbag(list(vec![mailbag()]))),
        ("dropped", Answer::Dropped(1)),
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
