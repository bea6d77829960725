use posthouse_crypto::{SigningKey, key_hash, manifest_hash};
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Lineage, ManifestSeq, Millis, Signed};

use super::super::{ManifestEvidence, Store};
use super::support::*;

/// A manifest of a chain, of which only the positions matter here.
fn manifest(seq: u64, created: u64) -> Signed<Manifest> {
    let root = SigningKey::from_seed(&[3; 32]);
    let later = seq > 1;
    root.sign(&Manifest {
        domain: b(),
        seq: ManifestSeq(seq),
        previous: later.then(|| manifest_hash(&manifest(1, 0))),
        root: root.public(),
        next_root: key_hash(&root.public()),
        ordering: root.public(),
        nodes: List::default(),
        addresses: List::default(),
        client_url: Text::clipped("https://b.example"),
        created: Millis(created),
        lineage: later.then(|| Lineage::new([1; 32])),
        mailbags: None,
        circuits: None,
    })
}

fn b() -> Domain {
    domain("b.example")
}

async fn from(store: &Store, seq: u64) -> Option<u64> {
    let found = store.pinned_from(&b(), ManifestSeq(seq)).await.unwrap();
    found.map(|manifest| manifest.peek().unwrap().seq.0)
}

#[tokio::test]
async fn what_was_pinned_is_kept_when_something_newer_is() {
    let mut world = World::new().await;
    for seq in [2, 5, 6] {
        world.store.pin(&b(), &manifest(seq, 0)).await.unwrap();
    }
    world.store.pin(&domain("c.example"), &manifest(9, 0)).await.unwrap();
    world.restart().await;
    let store = &world.store;
    assert_eq!(store.pinned(&b()).await.unwrap(), Some(manifest(6, 0)));
    let found = [from(store, 0).await, from(store, 3).await, from(store, 6).await, from(store, 7).await];
    assert_eq!(found, [Some(2), Some(5), Some(6), None]);
    store.keep_link(&b(), &manifest(4, 0)).await.unwrap();
    store.keep_link(&b(), &manifest(5, 77)).await.unwrap();
    assert_eq!(from(store, 3).await, Some(4));
    let kept = store.pinned_from(&b(), ManifestSeq(5)).await.unwrap();
    assert_eq!(kept, Some(manifest(5, 0)), "what was pinned is never replaced by a link");
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many() {
    let world = World::new().await;
    for seq in 1..=300 {
        world.store.pin(&b(), &manifest(seq, 0)).await.unwrap();
    }
    assert_eq!(world.count("manifests").await, 256);
    assert_eq!(from(&world.store, 1).await, Some(45));
    world.store.keep_link(&b(), &manifest(44, 0)).await.unwrap();
    assert_eq!(from(&world.store, 1).await, Some(45));
}

#[tokio::test]
async fn a_pin_from_before_there_was_a_history_is_found_and_kept() {
    let world = World::new().await;
    world.store.pin(&b(), &manifest(3, 0)).await.unwrap();
    let forgetting = world.store.write(|tx| {
        Box::pin(async move {
            sqlx::query("DELETE FROM manifests").execute(&mut tx.conn).await.unwrap();
            Ok(())
        })
    });
    forgetting.await.unwrap();
    assert_eq!((from(&world.store, 2).await, from(&world.store, 4).await), (Some(3), None));
    world.store.pin(&b(), &manifest(4, 0)).await.unwrap();
    assert_eq!((from(&world.store, 2).await, from(&world.store, 4).await), (Some(3), Some(4)));
}

#[tokio::test]
async fn evidence_is_kept_once_and_settled_when_the_operator_pins_again() {
    let world = World::new().await;
    let store = &world.store;
    store.pin(&b(), &manifest(1, 0)).await.unwrap();
    store.pin(&b(), &manifest(2, 0)).await.unwrap();
    let evidence = |other| ManifestEvidence { pinned: manifest(2, 0), other, found: NOW, settled: false };
    assert!(store.keep_manifest_evidence(&b(), &evidence(manifest(2, 9))).await.unwrap());
    assert!(!store.keep_manifest_evidence(&b(), &evidence(manifest(2, 9))).await.unwrap());
    for created in 10..40 {
        store.keep_manifest_evidence(&b(), &evidence(manifest(2, created))).await.unwrap();
    }
    assert_eq!(store.manifest_evidence(&b()).await.unwrap().len(), 8);
    assert!(store.manifest_evidence(&domain("c.example")).await.unwrap().is_empty());
    store.repin(&b(), &manifest(2, 9)).await.unwrap();
    assert_eq!(store.pinned(&b()).await.unwrap(), Some(manifest(2, 9)));
    assert_eq!((from(store, 1).await, world.count("manifests").await), (Some(2), 1));
    let all = store.manifest_evidence(&b()).await.unwrap();
    assert!(all.len() == 8 && all.iter().all(|evidence| evidence.settled));
    // The same again is news, now that the other one is pinned.
    assert!(store.keep_manifest_evidence(&b(), &evidence(manifest(2, 9))).await.unwrap());
    store.repin(&b(), &manifest(3, 0)).await.unwrap();
    assert_eq!(store.manifest_evidence(&b()).await.unwrap().len(), 1, "the latest quarrel is the record");
}
