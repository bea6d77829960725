//! Many lanes at once, dead relays among live ones, and relays that come back with the data of yesterday.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Relay, Town, soon, wall_clock};
use posthouse_federation::link::Restored;
use posthouse_federation::{LaneId, PeerStatus};
use posthouse_spec::envelope::LaneClass;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

async fn two(town: &Town) -> (Relay, Relay) {
    let mut a = Relay::new(town, "a.localhost", 1);
    let mut b = Relay::new(town, "b.localhost", 2);
    a.memory.set_neighbours(&["b.localhost"]);
    b.memory.set_neighbours(&["a.localhost"]);
    a.start(town).await;
    b.start(town).await;
    (a, b)
}

fn to(relay: &Relay) -> LaneId {
    LaneId { peer: relay.domain.clone(), class: LaneClass::Messages }
}

fn status(of: &Relay, at: &Relay) -> Option<PeerStatus> {
    at.federation().peers().into_iter().find(|peer| peer.domain == of.domain)
}

/// Posts items and waits until nothing waits any more.
async fn cross(from: &Relay, to: &Relay, texts: &[&str]) {
    let before = to.texts().len();
    texts.iter().for_each(|text| from.post(to, text));
    to.receives(before + texts.len()).await;
    soon("the outbox to empty", from.memory.until(|memory| memory.waiting() == 0)).await;
}

/// Waits until a lane is in another life.
async fn begins_anew(from: &Relay, to: &Relay, life: posthouse_spec::Incarnation) {
    let lane = self::to(to);
    soon("another life of the lane", from.memory.until(|memory| memory.life(&lane) != life)).await;
}

#[tokio::test]
async fn a_relay_restored_from_a_copy_sends_what_it_numbers_anew() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    cross(&a, &b, &["1", "2", "3"]).await;
    let (backup, life) = (a.memory.back_up(), a.memory.life(&to(&b)));
    cross(&a, &b, &["4", "5", "6"]).await;
    a.stop().await;
    a.memory.restore(backup);
    // Before the first contact the copy has used all the numbers again that b has seen, and one more.
    for text in ["new 4", "new 5", "new 6", "new 7"] {
        a.post(&b, text);
    }
    a.start(&town).await;
    let expected = ["1", "2", "3", "4", "5", "6", "new 4", "new 5", "new 6", "new 7"];
    assert_eq!(b.receives(10).await, expected);
    assert_ne!(a.memory.life(&to(&b)), life);
    let found = status(&b, &a).and_then(|peer| peer.restored).expect("the operator can know");
    assert_eq!((found.whose, found.class), (Restored::Here, LaneClass::Messages));
    cross(&a, &b, &["later"]).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn what_the_other_relay_has_already_is_sent_again_after_a_restore() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    cross(&a, &b, &["1"]).await;
    b.stop().await;
    a.post(&b, "2");
    let backup = a.memory.back_up();
    b.start(&town).await;
    b.receives(2).await;
    soon("the outbox to empty", a.memory.until(|memory| memory.waiting() == 0)).await;
    cross(&a, &b, &["3"]).await;
    a.stop().await;
    a.memory.restore(backup);
    a.start(&town).await;
    assert_eq!(b.receives(4).await, ["1", "2", "3", "2"], "devices drop what they know by its message id");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_restore_is_found_at_the_first_contact_though_nothing_waits() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    cross(&a, &b, &["1"]).await;
    cross(&b, &a, &["1"]).await;
    let (backup, ours, theirs) = (a.memory.back_up(), a.memory.life(&to(&b)), b.memory.life(&to(&a)));
    cross(&a, &b, &["2"]).await;
    cross(&b, &a, &["2"]).await;
    a.stop().await;
    a.memory.restore(backup);
    a.start(&town).await;
    // Both lanes between them: a has forgotten what it had sent, and what it had taken.
    begins_anew(&a, &b, ours).await;
    begins_anew(&b, &a, theirs).await;
    assert_eq!(status(&b, &a).and_then(|peer| peer.restored).map(|lane| lane.whose), Some(Restored::Here));
    assert_eq!(status(&a, &b).and_then(|peer| peer.restored).map(|lane| lane.whose), Some(Restored::There));
    cross(&a, &b, &["3"]).await;
    cross(&b, &a, &["3"]).await;
    assert_eq!((a.texts(), b.texts().len()), (vec!["1".to_owned(), "3".to_owned()], 3));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_mailbag_that_is_taken_while_the_lane_opens_is_no_restore() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    cross(&a, &b, &["1"]).await;
    let life = a.memory.life(&to(&b));
    let (left, lane, origin) = (Arc::clone(&a.memory), to(&b), a.domain.clone());
    b.stop().await;
    // The stream is on its way, and what it carries is given out and taken past it.
    b.memory.at_resume(move |memory| left.pass(&lane, &origin, memory));
    a.post(&b, "2");
    a.post(&b, "3");
    b.start(&town).await;
    b.receives(3).await;
    soon("the outbox to empty", a.memory.until(|memory| memory.waiting() == 0)).await;
    cross(&a, &b, &["4"]).await;
    assert_eq!(b.texts(), ["1", "2", "3", "4"]);
    assert_eq!(a.memory.life(&to(&b)), life);
    assert_eq!(status(&b, &a).and_then(|peer| peer.restored).map(|lane| lane.whose), None);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_relay_that_calls_gets_what_waits_long_before_it_would_be_called() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    cross(&a, &b, &["1"]).await;
    b.stop().await;
    a.post(&b, "2");
    let far_off = || {
        let retry_at = status(&b, &a).and_then(|peer| peer.retry_at)?;
        (retry_at > wall_clock().after(3_500)).then_some(retry_at)
    };
    let retry_at = soon("a long wait", async {
        loop {
            match far_off() {
                Some(at) => return at,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    let retry_at = retry_at.await;
    b.start(&town).await;
    assert_eq!(b.receives(2).await, ["1", "2"]);
    assert!(wall_clock() < retry_at, "it did not wait for its own next attempt");
    a.stop().await;
    b.stop().await;
}

/// What is counted of the calls of relays that never say a word.
#[derive(Default)]
struct Calls {
    /// The most that stood at once with one of them.
    most: AtomicUsize,
    /// Those that have ended.
    ended: AtomicUsize,
}

/// A relay that takes calls and never says a word.
async fn mute(town: &Town, name: &str, seed: u8, calls: &Arc<Calls>) -> Relay {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut relay = Relay::new(town, name, seed);
    let port = listener.local_addr().expect("an address").port();
    relay.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
    town.publish(&relay.domain, relay.manifest());
    let calls = Arc::clone(calls);
    tokio::spawn(async move {
        let standing = Arc::new(AtomicUsize::new(0));
        while let Ok((mut call, _)) = listener.accept().await {
            let (standing, calls) = (Arc::clone(&standing), Arc::clone(&calls));
            calls.most.fetch_max(standing.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut nowhere = [0; 1024];
                while call.read(&mut nowhere).await.is_ok_and(|n| n > 0) {}
                standing.fetch_sub(1, Ordering::SeqCst);
                calls.ended.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    relay
}

const LIVE: u8 = 40;
const DEAD: u8 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_relays_among_fifty_delay_nobody() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let calls = Arc::new(Calls::default());
    let mut dead = Vec::new();
    for n in 0..DEAD {
        dead.push(mute(&town, &format!("dead{n}.localhost"), 100 + n, &calls).await);
    }
    let mut live = Vec::new();
    for n in 0..LIVE {
        let mut relay = Relay::new(&town, &format!("live{n}.localhost"), 10 + n);
        relay.listen = vec!["/ip4/127.0.0.1/tcp/0".into()];
        relay.start(&town).await;
        live.push(relay);
    }
    // The dead ones come first, on two lanes each.
    for relay in &dead {
        a.post_on(LaneClass::Control, relay, "a decision");
        a.post(relay, "a message");
    }
    for relay in &live {
        a.post_on(LaneClass::Control, relay, "a decision");
        a.post(relay, "a message");
    }
    for relay in &live {
        relay.receives(2).await;
    }
    assert_eq!(calls.ended.load(Ordering::SeqCst), 0, "nobody waited until a dead one was given up");
    let load = a.federation().load();
    assert!(load.dialling <= usize::from(DEAD), "{load:?}");
    assert_eq!(calls.most.load(Ordering::SeqCst), 1, "one call a time for all lanes of a relay");
    let rest = usize::from(DEAD) * 2;
    soon("the acknowledgements", a.memory.until(|memory| memory.waiting() == rest)).await;
    a.stop().await;
    for relay in &mut live {
        relay.stop().await;
    }
}
