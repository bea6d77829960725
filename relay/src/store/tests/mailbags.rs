//! Bags that are held for others, and how far lanes were left with holders.

use posthouse_spec::cbor::Octets;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::mailbag::{Mailbag, MailbagRef};
use posthouse_spec::{EnvelopeId, Incarnation, LaneSeq, Millis};

use super::super::{FullOf, HoldOutcome, LeftMark, MailbagQuota, Store, Wakes};
use super::support::{NOW, World, domain, own, to_b};

const UNTIL: Millis = Millis(NOW.0 + 1_000);
const QUOTA: MailbagQuota = MailbagQuota { destination: 8_000, origin: 4_000, total: 12_000 };

fn bag(origin: &str, destination: &str, n: u8, size: usize) -> Mailbag {
    Mailbag {
        origin: domain(origin),
        destination: domain(destination),
        envelope: EnvelopeId::new([n; 32]),
        expires: UNTIL,
        sealed: Octets::new(vec![n; size]).unwrap(),
    }
}

fn reference(bag: &Mailbag) -> MailbagRef {
    MailbagRef { origin: bag.origin.clone(), envelope: bag.envelope, size: bag.sealed.len() as u64 }
}

async fn store(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path(), &own(), "main", Wakes::none()).await.unwrap()
}

async fn hold(store: &Store, bag: Mailbag) -> HoldOutcome {
    store.hold_mailbag(bag, UNTIL, QUOTA).await.unwrap()
}

#[tokio::test]
async fn a_bag_is_held_once_given_to_its_destination_alone_and_dropped_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    let left = bag("o.example", "b.example", 1, 100);
    assert_eq!(hold(&first, left.clone()).await, HoldOutcome::Held(UNTIL));
    // Again, and with another wish: the first answer stands.
    let again = first.hold_mailbag(left.clone(), Millis(UNTIL.0 + 5), QUOTA).await.unwrap();
    assert_eq!(again, HoldOutcome::Held(UNTIL));
    first.close().await;

    let store = store(&folder).await;
    assert_eq!(store.mailbags_held().await.unwrap().items, 1, "it survives a restart");
    let (b, c) = (domain("b.example"), domain("c.example"));
    let list = store.held_mailbags(&b, 10, NOW).await.unwrap();
    assert_eq!((list.total, list.held.into_vec()), (1, vec![reference(&left)]));
    assert!(store.held_mailbags(&c, 10, NOW).await.unwrap().held.is_empty());
    assert_eq!(store.held_mailbag(&b, &reference(&left), NOW).await.unwrap(), Some(left.clone()));
    assert_eq!(store.held_mailbag(&c, &reference(&left), NOW).await.unwrap(), None);
    assert_eq!(store.drop_mailbags(&c, vec![reference(&left)]).await.unwrap(), 0);
    assert_eq!(store.drop_mailbags(&b, vec![reference(&left)]).await.unwrap(), 1);
    assert_eq!(store.drop_mailbags(&b, vec![reference(&left)]).await.unwrap(), 0);
    assert_eq!(store.mailbags_held().await.unwrap(), Default::default());
    store.close().await;
}

#[tokio::test]
async fn every_quota_has_its_name_and_what_is_dropped_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    assert_eq!(hold(&store, bag("o.example", "b.example", 1, 3_000)).await, HoldOutcome::Held(UNTIL));
    assert_eq!(
        hold(&store, bag("o.example", "b.example", 2, 3_000)).await,
        HoldOutcome::Full(FullOf::Origin)
    );
    assert_eq!(hold(&store, bag("p.example", "b.example", 3, 3_000)).await, HoldOutcome::Held(UNTIL));
    let full = hold(&store, bag("q.example", "b.example", 4, 3_000)).await;
    assert_eq!(full, HoldOutcome::Full(FullOf::Destination));
    assert_eq!(hold(&store, bag("o.example", "c.example", 5, 3_000)).await, HoldOutcome::Held(UNTIL));
    let full = hold(&store, bag("o.example", "d.example", 6, 3_000)).await;
    assert_eq!(full, HoldOutcome::Full(FullOf::Total));
    // A bag that is held already is no question of space.
    assert_eq!(hold(&store, bag("o.example", "b.example", 1, 3_000)).await, HoldOutcome::Held(UNTIL));
    let gone = reference(&bag("o.example", "b.example", 1, 3_000));
    store.drop_mailbags(&domain("b.example"), vec![gone]).await.unwrap();
    assert_eq!(hold(&store, bag("o.example", "d.example", 6, 3_000)).await, HoldOutcome::Held(UNTIL));
    store.close().await;
}

#[tokio::test]
async fn empty_bags_fill_a_quota_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut held = 0;
    while hold(&store, bag("o.example", "b.example", held, 1)).await == HoldOutcome::Held(UNTIL) {
        held += 1;
    }
    assert_eq!(held, 7, "4,000 bytes are seven times 512 and some");
    store.close().await;
}

#[tokio::test]
async fn nobodys_bags_keep_anothers_off_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for n in 0..6 {
        hold(&store, bag("o.example", "b.example", n, 1)).await;
    }
    hold(&store, bag("p.example", "b.example", 9, 1)).await;
    let list = store.held_mailbags(&domain("b.example"), 4, NOW).await.unwrap();
    let listed: Vec<u8> = list.held.iter().map(|bag| bag.envelope.as_bytes()[0]).collect();
    assert_eq!((listed, list.total), (vec![0, 1, 9], 7));
    store.close().await;
}

#[tokio::test]
async fn who_asks_for_more_than_a_list_holds_gets_the_last_part() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let numbered = |origin, n: u16| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        Mailbag { envelope: EnvelopeId::new(id), ..bag(origin, "b.example", 0, 1) }
    };
    let wide = MailbagQuota { destination: 1 << 20, origin: 1 << 20, total: 1 << 20 };
    let listed = async |max| {
        let list = store.held_mailbags(&domain("b.example"), max, NOW).await.unwrap();
        let number =
            |bag: &MailbagRef| u16::from_be_bytes([bag.envelope.as_bytes()[0], bag.envelope.as_bytes()[1]]);
        list.held.iter().map(number).collect::<Vec<u16>>()
    };
    for n in 0..600 {
        store.hold_mailbag(numbered("o.example", n), UNTIL, wide).await.unwrap();
    }
    assert!(listed(256).await.into_iter().eq(0..256));
    assert!(listed(300).await.into_iter().eq(256..300));
    assert!(listed(768).await.into_iter().eq(512..600));
    assert_eq!((listed(0).await.len(), listed(u64::MAX).await.len()), (0, 0));
    // With another origin each has half of every list.
    store.hold_mailbag(numbered("p.example", 999), UNTIL, wide).await.unwrap();
    assert!(listed(256).await.into_iter().eq((0..128).chain([999])));
    assert!(listed(512).await.into_iter().eq(128..256));
    store.close().await;
}

#[tokio::test]
async fn what_is_held_no_longer_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    hold(&store, bag("o.example", "b.example", 1, 1)).await;
    store.mark_left(&domain("b.example"), mark(5)).await.unwrap();
    let (b, left) = (domain("b.example"), reference(&bag("o.example", "b.example", 1, 1)));
    assert!(store.held_mailbag(&b, &left, Millis(UNTIL.0 - 1)).await.unwrap().is_some());
    // Whether it has been thrown away yet or not: it is held no longer.
    assert!(store.held_mailbag(&b, &left, UNTIL).await.unwrap().is_none());
    assert!(store.held_mailbags(&b, 10, UNTIL).await.unwrap().held.is_empty());
    assert_eq!(store.expire_mailbags(UNTIL).await.unwrap(), 0);
    assert_eq!(store.left_marks(&domain("b.example")).await.unwrap().len(), 1);
    assert_eq!(store.expire_mailbags(Millis(UNTIL.0 + 1)).await.unwrap(), 1);
    assert_eq!(store.mailbags_held().await.unwrap(), Default::default());
    assert!(store.left_marks(&domain("b.example")).await.unwrap().is_empty());
    store.close().await;
}

fn mark(next: u64) -> LeftMark {
    LeftMark {
        class: LaneClass::Messages,
        incarnation: Incarnation::new([1; 16]),
        next: LaneSeq(next),
        holder: domain("h.example"),
        until: UNTIL,
    }
}

#[tokio::test]
async fn how_far_a_lane_was_left_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    let peer = domain("b.example");
    first.mark_left(&peer, mark(5)).await.unwrap();
    first.mark_left(&peer, mark(9)).await.unwrap();
    first.close().await;
    let store = store(&folder).await;
    assert_eq!(store.left_marks(&peer).await.unwrap(), vec![mark(9)]);
    assert!(store.left_marks(&domain("c.example")).await.unwrap().is_empty());
    store.close().await;
}

#[tokio::test]
async fn the_age_of_an_item_is_found_in_each_life_of_its_lane() {
    let world = World::with_room().await;
    for n in 1..=4 {
        world.submit(&world.alice, n, b"x").await;
    }
    let lane = to_b(LaneClass::Messages);
    let first = world.store.lane(&lane).await.unwrap().incarnation;
    world.store.lane_acknowledged(NOW, &lane, first, LaneSeq(3), Vec::new()).await.unwrap();
    world.store.begin_lane_life(&lane, first).await.unwrap();
    let second = world.store.lane(&lane).await.unwrap().incarnation;
    let age = async |life, seq| world.store.lane_item_received(&lane, life, LaneSeq(seq)).await.unwrap();
    assert_eq!(
        [age(second, 1).await, age(second, 2).await, age(second, 3).await],
        [Some(NOW), Some(NOW), None]
    );
    assert_eq!(age(first, 3).await, None, "what it was in an earlier life says nothing");
}
