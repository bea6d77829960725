use posthouse_spec::room::Decided;
use posthouse_spec::{CommitHash, Epoch};

use super::support::*;

fn epochs(decisions: &[Decided]) -> Vec<u64> {
    decisions.iter().map(|decided| decided.decision.peek().unwrap().epoch.0).collect()
}

#[tokio::test]
async fn a_relay_that_has_left_sees_no_decision_behind_the_one_by_which_it_did() {
    let world = World::with_room().await;
    world.advance(Epoch(0), &[&world.alice, &world.anna, &world.bob]).await;
    for epoch in 1..4 {
        world.advance(Epoch(epoch), &[&world.alice, &world.anna]).await;
    }
    let bobs = domain("b.example");
    let shared = |from, limit| world.store.decisions_shared(&bobs, ROOM, Epoch(from), limit);
    assert_eq!(epochs(&world.store.decisions(ROOM, Epoch(0), 9).await.unwrap()), [0, 1, 2, 3]);
    assert_eq!(epochs(&shared(0, 9).await.unwrap()), [0, 1]);
    assert_eq!(epochs(&shared(1, 9).await.unwrap()), [1]);
    assert!(shared(2, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hub_that_decides_without_end_fills_no_disk() {
    let world = World::with_room().await;
    for n in 0..20 {
        let commit = CommitHash::new([n; 32]);
        world.store.keep_evidence(NOW, ROOM, Epoch(0), commit, decided(Epoch(0)), None).await.unwrap();
    }
    assert_eq!(world.store.evidence_count().await.unwrap(), 8);
}
