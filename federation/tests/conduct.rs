//! What becomes of a relay that breaks rules: it is named, slowed, cut off, and let back after a time.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Attacker, Relay, Town, frame, soon, wall_clock};
use posthouse_federation::conduct::{FIRST_CUT_MS, SLOW_MS};
use posthouse_federation::{ConductStatus, PeerLimits, Treatment};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::hello::{HelloResponse, PeerRule};
use posthouse_spec::peer::{
    KeysRequest, KeysResponse, MailbagRequest, MailbagResponse, hello, keys, mailbag,
};
use posthouse_spec::{AccountId, LaneSeq, Millis};

/// A clock that is turned by hand on top of the machine's.
fn turned(relay: &mut Relay) -> Arc<AtomicU64> {
    let ahead = Arc::new(AtomicU64::new(0));
    let by = Arc::clone(&ahead);
    relay.clock = Arc::new(move || wall_clock().after(by.load(Ordering::Relaxed)));
    ahead
}

fn conduct(of: &Relay, domain: &str) -> Option<ConductStatus> {
    of.federation().peers().into_iter().find(|peer| peer.domain.as_str() == domain)?.conduct
}

/// Waits until `of` treats `domain` so.
async fn treated(of: &Relay, domain: &str, so: impl Fn(Treatment) -> bool) {
    soon("the treatment", async {
        while !conduct(of, domain).is_some_and(|conduct| so(conduct.treatment)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A connection that the other side closes.
async fn closed(evil: &Attacker) {
    soon("the connection's end", async {
        loop {
            let mut control = evil.control.clone();
            let opening = control.open_stream(evil.target, libp2p::StreamProtocol::new(keys::PROTOCOL));
            match opening.await {
                Err(_) => return,
                Ok(stream) => drop(stream),
            }
        }
    })
    .await;
}

async fn hello_rule(evil: &Attacker, at: Millis) -> Result<(), (PeerRule, String)> {
    let mut words = evil.hello_frame();
    words.now = at;
    match evil.exchange::<HelloResponse>(hello::PROTOCOL, &frame(&words)).await {
        HelloResponse::Hello(_) => Ok(()),
        HelloResponse::Refused(refusal) => Err((refusal.rule, refusal.detail.to_string())),
    }
}

#[tokio::test]
async fn a_relay_that_goes_on_is_slowed_then_cut_off_and_let_back() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let ahead = turned(&mut a);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    evil.hello().await;
    let forged = evil.envelope(|e| e.origin = "b.localhost".parse().expect("a domain"));
    assert_eq!(evil.lane(std::slice::from_ref(&forged)).await.rule, PeerRule::ForgedOrigin);
    treated(&a, "evil.localhost", |t| t == Treatment::Slowed(SLOW_MS)).await;
    for _ in 0..2 {
        assert_eq!(
            evil.lane(std::slice::from_ref(&forged)).await.rule,
            PeerRule::ForgedOrigin,
            "slowed, and still told"
        );
    }
    // The fourth is the last: the refusal may be lost with the connection.
    let _ = tokio::time::timeout(common::PATIENCE, evil.try_lane(&[forged])).await;
    treated(&a, "evil.localhost", |t| matches!(t, Treatment::CutOff(_))).await;
    closed(&evil).await;
    let known = conduct(&a, "evil.localhost").expect("it is remembered");
    assert_eq!(known.broken, [(PeerRule::ForgedOrigin, 4)]);

    // A new connection is no way round, and what it is told says for how long.
    let again = Attacker::new(&town, &a, "tcp").await;
    let (rule, words) = hello_rule(&again, (a.clock)()).await.expect_err("it is cut off");
    assert_eq!(rule, PeerRule::CutOff);
    assert!(words.contains("again in"), "{words}");
    // Nor does this relay call it, and honest relays notice nothing.
    a.post(&again.relay, "what waits, waits");
    b.post(&a, "as ever");
    a.receives(1).await;

    ahead.store(FIRST_CUT_MS, Ordering::Relaxed);
    treated(&a, "evil.localhost", |t| t == Treatment::Normal).await;
    let mut back = Attacker::new(&town, &a, "quic-v1").await;
    back.relay.last = evil.relay.last.clone();
    hello_rule(&back, (a.clock)()).await.expect("it is let back");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn the_operator_may_forgive() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "tcp").await;
    evil.hello().await;
    let stolen = evil.envelope(|e| e.destination = "b.localhost".parse().expect("a domain"));
    for _ in 0..3 {
        assert_eq!(evil.lane(std::slice::from_ref(&stolen)).await.rule, PeerRule::WrongDestination);
    }
    treated(&a, "evil.localhost", |t| t == Treatment::Slowed(SLOW_MS)).await;
    assert!(a.federation().pardon(&evil.relay.domain));
    assert_eq!(conduct(&a, "evil.localhost").map(|known| known.treatment), Some(Treatment::Normal));
    assert!(!a.federation().pardon(&"b.localhost".parse().expect("a domain")), "it has done nothing");
    a.stop().await;
}

#[tokio::test]
async fn too_many_questions_are_refused_and_an_old_relay_is_told_in_words_that_it_knows() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.limits = PeerLimits { requests_per_second: 5, ..PeerLimits::default() };
    a.start(&town).await;
    for (name, version, rule) in
        [("new.localhost", 2, PeerRule::TooFast), ("old.localhost", 1, PeerRule::Unavailable)]
    {
        let evil = Attacker::named(&town, &a, "quic-v1", name).await;
        let mut words = evil.hello_frame();
        (words.min_version, words.max_version) = (1, version);
        let heard = evil.exchange::<HelloResponse>(hello::PROTOCOL, &frame(&words)).await;
        assert!(matches!(heard, HelloResponse::Hello(_)), "{heard:?}");
        let question = frame(&KeysRequest::Chain(AccountId::new([1; 32])));
        let ask = || evil.exchange::<KeysResponse>(keys::PROTOCOL, &question);
        for _ in 0..10 {
            let answer = ask().await;
            assert!(
                matches!(
                    answer,
                    KeysResponse::KeyPackages(_) | KeysResponse::Refused(_) | KeysResponse::Chain(_)
                ),
                "{answer:?}"
            );
        }
        // Twenty more may wait, which is more than an honest relay asks at once.
        let answers = futures::future::join_all((0..31).map(|_| ask())).await;
        let refused = answers.into_iter().filter_map(|answer| match answer {
            KeysResponse::Rejected(refusal) => Some(refusal.rule),
            _ => None,
        });
        let refused: Vec<PeerRule> = refused.collect();
        assert!(!refused.is_empty(), "31 were asked, and 20 may wait");
        assert!(refused.iter().all(|told| *told == rule), "{refused:?}");
        let known = conduct(&a, name).expect("it is remembered");
        assert!(known.broken.iter().any(|(rule, _)| *rule == PeerRule::TooFast), "{known:?}");
    }
    a.stop().await;
}

#[tokio::test]
async fn a_lane_that_brings_too_much_is_read_later_and_loses_nothing() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.limits = PeerLimits { messages_per_second: 250, ..PeerLimits::default() };
    let mut b = Relay::new(&town, "b.localhost", 2);
    // Large enough to need many envelopes: what one brings is paid for once it has come.
    let message = |n: usize| format!("message {n}{}", ".".repeat(2_000));
    for n in 0..1_500 {
        b.post(&a, &message(n));
    }
    a.start(&town).await;
    b.start(&town).await;
    a.receives(1).await;
    b.post_on(LaneClass::Control, &a, "a commit");
    let texts = a.receives(1_501).await;
    assert!(texts.last().is_some_and(|last| *last == message(1_499)), "a commit overtakes what waits");
    let messages: Vec<&String> = texts.iter().filter(|text| text.starts_with("message")).collect();
    assert!(messages.iter().enumerate().all(|(n, text)| **text == message(n)));
    assert!(conduct(&a, "b.localhost").is_none(), "that broke no rule");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn hellos_without_end_are_refused() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    // In no time, however slow the machine is.
    let now = wall_clock();
    a.clock = Arc::new(move || now);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    let mut heard = 0;
    let refused = loop {
        match hello_rule(&evil, now).await {
            Ok(()) => heard += 1,
            Err((rule, _)) => break rule,
        }
    };
    assert_eq!((heard, refused), (100, PeerRule::TooFast));
    a.stop().await;
}

#[tokio::test]
async fn a_stranger_that_breaks_rules_loses_its_connection() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "tcp").await;
    let question = frame(&MailbagRequest::List(1));
    for _ in 0..20 {
        let asking = evil.try_exchange::<MailbagResponse>(mailbag::PROTOCOL, &question);
        match tokio::time::timeout(common::PATIENCE, asking).await {
            Ok(Some(MailbagResponse::Rejected(refusal))) => assert_eq!(refusal.rule, PeerRule::NoHello),
            Ok(None) => break,
            other => panic!("{other:?}"),
        }
    }
    closed(&evil).await;
    assert!(conduct(&a, "evil.localhost").is_none(), "whoever it is, it never said so");
    a.stop().await;
}

#[tokio::test]
async fn a_gap_is_no_crime() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    evil.hello().await;
    let ahead = evil.envelope(|e| e.first = LaneSeq(7));
    for _ in 0..4 {
        assert_eq!(evil.lane(std::slice::from_ref(&ahead)).await.rule, PeerRule::Gap);
    }
    assert_eq!(conduct(&a, "evil.localhost").map(|known| known.treatment), Some(Treatment::Normal));
    a.stop().await;
}
