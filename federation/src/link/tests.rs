//! Each rule of the link, broken on purpose.

use posthouse_crypto::SigningKey;
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::{Ack, Credit, RefusedItem, Resume};
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Incarnation, LaneSeq, Millis};
use proptest::prelude::*;

use super::fault::{LinkFault, Violation};
use super::receiver::{Arrival, Receiver};
use super::sender::Sender;
use super::world::{domain, key, lane, refusal};
use crate::host::{LaneState, OutboundItem};

fn receiver(cursor: u64) -> Receiver {
    let open = Sender::new(
        lane(),
        LaneState {
            incarnation: lane().incarnation,
            oldest: LaneSeq(1),
            next: LaneSeq(9),
            handed: LaneSeq(8),
        },
        Millis(1),
    )
    .open();
    Receiver::new(domain("a.example"), domain("b.example"), &open, LaneSeq(cursor))
}

fn envelope(first: u64, count: usize) -> Envelope {
    let item = Octets::new(vec![1, 2, 3]).expect("small");
    Envelope {
        version: ENVELOPE_VERSION,
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: lane().incarnation,
        first: LaneSeq(first),
        created: Millis(1),
        items: List::new(vec![item; count]).expect("few"),
    }
}

fn refused(envelope: &Envelope) -> Violation {
    let bytes = key().sign(envelope).as_bytes().clone();
    receiver(5).handle_envelope(bytes, |k| *k == key().public()).expect_err("it breaks a rule")
}

#[test]
fn an_envelope_of_another_origin_is_forged() {
    let mut forged = envelope(5, 1);
    forged.origin = domain("victim.example");
    assert_eq!(refused(&forged).rule, PeerRule::ForgedOrigin);
    // Also where it bears the right signature of the relay that really wrote it.
    let stolen = SigningKey::from_seed(&[9; 32]).sign(&forged);
    let violation =
        receiver(5).handle_envelope(stolen.as_bytes().clone(), |k| *k == key().public()).expect_err("forged");
    assert_eq!(violation.rule, PeerRule::ForgedOrigin);
}

#[test]
fn an_envelope_for_another_relay_is_refused() {
    let mut astray = envelope(5, 1);
    astray.destination = domain("c.example");
    assert_eq!(refused(&astray).rule, PeerRule::WrongDestination);
}

#[test]
fn an_envelope_signed_by_no_node_is_refused() {
    let signed = SigningKey::from_seed(&[9; 32]).sign(&envelope(5, 1));
    let violation = receiver(5)
        .handle_envelope(signed.as_bytes().clone(), |k| *k == key().public())
        .expect_err("no node");
    assert_eq!(violation.rule, PeerRule::EnvelopeSignature);
}

#[test]
fn an_envelope_of_another_lane_is_refused() {
    let mut other = envelope(5, 1);
    other.class = LaneClass::Control;
    assert_eq!(refused(&other).rule, PeerRule::WrongLane);
    let mut older = envelope(5, 1);
    older.incarnation = Incarnation::new([2; 16]);
    assert_eq!(refused(&older).rule, PeerRule::WrongLane);
    let mut newer = envelope(5, 1);
    newer.version = 2;
    assert_eq!(refused(&newer).rule, PeerRule::Version);
}

#[test]
fn a_gap_is_refused_and_says_what_was_expected() {
    let violation = refused(&envelope(6, 1));
    assert_eq!(violation.rule, PeerRule::Gap);
    assert!(violation.detail.contains('5') && violation.detail.contains('6'), "{violation}");
}

#[test]
fn a_replay_changes_nothing_and_is_acknowledged_again() {
    let mut receiver = receiver(5);
    let replay = key().sign(&envelope(3, 2)).as_bytes().clone();
    let arrival = receiver.handle_envelope(replay, |_| true).expect("a repeat breaks no rule");
    assert!(matches!(arrival, Arrival::Repeat));
    assert_eq!(receiver.poll_ack().map(|ack| ack.next), Some(LaneSeq(5)));
    assert!(receiver.poll_ack().is_none());
}

#[test]
fn more_than_the_credit_is_refused() {
    let credit = Credit { items: 3, bytes: 1 << 20 };
    let mut receiver = receiver(5).with_credit(credit);
    let bytes = key().sign(&envelope(5, 4)).as_bytes().clone();
    assert_eq!(receiver.handle_envelope(bytes, |_| true).expect_err("four").rule, PeerRule::OverCredit);
    let mut narrow = self::receiver(5).with_credit(Credit { items: 30, bytes: 20 });
    let bytes = key().sign(&envelope(5, 1)).as_bytes().clone();
    assert_eq!(narrow.handle_envelope(bytes, |_| true).expect_err("large").rule, PeerRule::OverCredit);
}

fn flowing(state: LaneState) -> Sender {
    let mut sender = Sender::new(lane(), state, Millis(1));
    let resume = Resume { next: state.oldest, credit: Credit { items: 100, bytes: 1 << 20 } };
    sender.handle_receipt(ReceiptFrame::Resume(resume), Millis(1)).expect("the first answer");
    sender
}

fn ack(next: u64, refused: Vec<RefusedItem>) -> ReceiptFrame {
    let refused = List::new(refused).expect("few");
    ReceiptFrame::Ack(Ack { next: LaneSeq(next), refused, credit: Credit { items: 100, bytes: 1 << 20 } })
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_refused() {
    let state = LaneState {
        incarnation: lane().incarnation,
        oldest: LaneSeq(5),
        next: LaneSeq(9),
        handed: LaneSeq(8),
    };
    for frame in [ack(6, vec![]), ack(4, vec![]), ack(5, vec![refusal(LaneSeq(5))])] {
        let fault = flowing(state).handle_receipt(frame, Millis(2)).expect_err("out of turn");
        assert!(matches!(fault, LinkFault::Violation(v) if v.rule == PeerRule::OutOfTurn));
    }
    let early = Sender::new(lane(), state, Millis(1)).handle_receipt(ack(5, vec![]), Millis(2));
    assert!(matches!(early, Err(LinkFault::Violation(v)) if v.rule == PeerRule::OutOfTurn));
}

#[test]
fn a_restored_relay_on_either_side_is_told_apart() {
    let state = LaneState {
        incarnation: lane().incarnation,
        oldest: LaneSeq(5),
        next: LaneSeq(9),
        handed: LaneSeq(8),
    };
    let resume =
        |next| ReceiptFrame::Resume(Resume { next: LaneSeq(next), credit: Credit { items: 1, bytes: 1 } });
    // Item 8 has a number, but was never sent: whoever has one of that number has another one.
    for next in [9, 10] {
        let ours = Sender::new(lane(), state, Millis(1)).handle_receipt(resume(next), Millis(2));
        assert!(matches!(ours, Err(LinkFault::RolledBack { .. })));
    }
    let both = Sender::new(lane(), state, Millis(1)).handle_receipt(resume(8), Millis(2));
    assert!(both.is_ok());
    let theirs = Sender::new(lane(), state, Millis(1)).handle_receipt(resume(4), Millis(2));
    assert!(matches!(theirs, Err(LinkFault::Forgotten { .. })));
}

proptest! {
    #[test]
    fn no_bytes_make_the_receiver_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let violation = receiver(1).handle_envelope(bytes.into(), |_| true).expect_err("random bytes are no envelope");
        prop_assert_eq!(violation.rule, PeerRule::Malformed);
    }
}

#[test]
fn a_wall_clock_that_is_off_prolongs_no_silence() {
    let state = LaneState {
        incarnation: lane().incarnation,
        oldest: LaneSeq(1),
        next: LaneSeq(2),
        handed: LaneSeq(1),
    };
    let mut sender = Sender::new(lane(), state, Millis(1_000));
    let silence = sender.poll_timeout().expect("an answer is due").0 - 1_000;
    let credit = Credit { items: 10, bytes: 1 << 20 };
    let resume = ReceiptFrame::Resume(Resume { next: LaneSeq(1), credit });
    sender.handle_receipt(resume, Millis(2_000)).expect("it is expected");
    let item = OutboundItem { seq: LaneSeq(1), bytes: vec![1].into() };
    let envelope = sender.handle_items(vec![item], &key(), Millis(1 << 40), Millis(3_000));
    let envelope = envelope.expect("the outbox is sound").expect("there is one");
    assert_eq!(envelope.peek().expect("own").created, Millis(1 << 40));
    assert_eq!(sender.poll_timeout(), Some(Millis(3_000 + silence)));
    assert!(sender.handle_timeout(Millis(3_000 + silence)));
}

/// How long each envelope of a backlog of `items` of `size` bytes takes over a way that carries `rate` bytes a second, in the
/// order in which they arrive; nothing once the sender gives the stream up.
fn carry(items: u64, size: usize, rate: u64) -> Option<Vec<u64>> {
    let state = LaneState {
        incarnation: lane().incarnation,
        oldest: LaneSeq(1),
        next: LaneSeq(1 + items),
        handed: LaneSeq(1),
    };
    let mut sender = Sender::new(lane(), state, Millis(0));
    let credit = Credit { items: 10_000, bytes: 16 << 20 };
    let resume = ReceiptFrame::Resume(Resume { next: LaneSeq(1), credit: credit.clone() });
    sender.handle_receipt(resume, Millis(0)).expect("it is expected");
    let (mut now, mut sizes) = (Millis(0), Vec::new());
    let mut on_its_way = std::collections::VecDeque::new();
    loop {
        while let Some(fetch) = sender.poll_fetch() {
            let mut room = fetch.max_bytes.max(size) / size;
            room = room.min(fetch.max_items).min((1 + items - fetch.from.0) as usize);
            let bytes = bytes::Bytes::from(vec![7; size]);
            let given = (fetch.from.0..).map(LaneSeq).take(room);
            let given = given.map(|seq| OutboundItem { seq, bytes: bytes.clone() }).collect();
            let sent = sender.handle_items(given, &key(), now, now).expect("the outbox is sound");
            let Some(envelope) = sent else { break };
            on_its_way.push_back((envelope.as_bytes().len() as u64, envelope.peek().expect("own").next()));
        }
        let Some((bytes, next)) = on_its_way.pop_front() else { return Some(sizes) };
        now = now.after(bytes * 1_000 / rate);
        if sender.handle_timeout(now) {
            return None;
        }
        sizes.push(bytes);
        let ack = Ack { next, refused: List::default(), credit: credit.clone() };
        sender.handle_receipt(ReceiptFrame::Ack(ack), now).expect("it covers what was sent");
    }
}

#[test]
fn a_slow_way_carries_a_backlog_and_a_large_item() {
    for rate in [20, 70, 280] {
        let sizes = carry(60, 60 * 1024, rate * 1024).expect("it gets through");
        assert!(
            sizes.iter().all(|bytes| *bytes <= 300 * 1024 * rate.max(70) / 70),
            "{rate} KiB/s: {sizes:?}"
        );
        assert!(carry(3, 4 << 20, rate * 1024).is_some(), "4 MiB at {rate} KiB/s");
    }
    assert!(carry(60, 60 * 1024, 1024).is_none(), "nobody waits for ever");
}

#[test]
fn a_quick_way_carries_large_envelopes() {
    let sizes = carry(1_000, 32 * 1024, 100 << 20).expect("it gets through");
    assert!(sizes[12..sizes.len() - 1].iter().all(|bytes| *bytes > 900 * 1024), "{sizes:?}");
}

#[test]
fn a_destination_that_grants_nothing_is_not_waited_for_without_end() {
    let state = LaneState {
        incarnation: lane().incarnation,
        oldest: LaneSeq(1),
        next: LaneSeq(2),
        handed: LaneSeq(1),
    };
    let nothing = || Credit { items: 0, bytes: 0 };
    let mut sender = Sender::new(lane(), state, Millis(1));
    let resume = ReceiptFrame::Resume(Resume { next: LaneSeq(1), credit: nothing() });
    sender.handle_receipt(resume, Millis(1)).expect("it breaks no rule");
    assert!(sender.poll_fetch().is_none());
    let deadline = sender.poll_timeout().expect("more waits than is granted");
    assert!(sender.handle_timeout(deadline));
    // The same where the lane had caught up, and something new comes.
    let mut sender = flowing(state);
    let item = OutboundItem { seq: LaneSeq(1), bytes: vec![1].into() };
    sender.handle_items(vec![item], &key(), Millis(1), Millis(1)).expect("sound").expect("an envelope");
    sender.handle_items(Vec::new(), &key(), Millis(1), Millis(1)).expect("sound");
    let ack = Ack { next: LaneSeq(2), refused: List::default(), credit: nothing() };
    sender.handle_receipt(ReceiptFrame::Ack(ack), Millis(2)).expect("it breaks no rule");
    assert!(sender.is_idle() && sender.poll_timeout().is_none(), "nothing is owed");
    sender.handle_wake(Millis(3));
    assert!(sender.poll_timeout().is_some());
}
