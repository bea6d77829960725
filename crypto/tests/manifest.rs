//! Following a relay from manifest to manifest.

use posthouse_crypto::{
    ManifestFault, SigningKey, VerifyError, contradict, follow, follow_chain, key_hash, lineage,
    manifest_hash, precedes,
};
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Lineage, ManifestSeq, Millis, Signed};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&mut StdRng::seed_from_u64(seed))
}

fn domain() -> Domain {
    "a.example".parse().expect("a domain")
}

fn first() -> Manifest {
    Manifest {
        domain: domain(),
        seq: ManifestSeq(1),
        previous: None,
        root: key(1).public(),
        next_root: key_hash(&key(2).public()),
        ordering: key(3).public(),
        nodes: List::default(),
        addresses: List::default(),
        client_url: Text::new("https://a.example").expect("within the limit"),
        created: Millis(0),
        lineage: None,
        mailbags: None,
        circuits: None,
    }
}

/// A manifest that follows `before`, with the root that the seed stands for.
fn successor(before: &Signed<Manifest>, root: u64) -> Manifest {
    let previous = follow(&domain(), None, before).expect("it holds");
    Manifest {
        seq: previous.seq.next(),
        previous: Some(manifest_hash(before)),
        root: key(root).public(),
        next_root: key_hash(&key(root + 1).public()),
        lineage: Some(lineage(&previous)),
        mailbags: None,
        circuits: None,
        ..first()
    }
}

#[test]
fn a_relay_changes_its_root_along_its_chain() {
    let one = key(1).sign(&first());
    let two = key(1).sign(&successor(&one, 1));
    let three = key(2).sign(&successor(&two, 2));
    let pinned = follow(&domain(), None, &one).expect("trust on first use");
    follow(&domain(), Some(&one), &one).expect("the same again");
    follow(&domain(), Some(&one), &two).expect("the same root");
    let latest = follow(&domain(), Some(&two), &three).expect("the announced root");
    assert_eq!(lineage(&latest), lineage(&pinned));
    follow(&domain(), Some(&one), &three).expect("a gap is no fault where the root was announced");
}

#[test]
fn each_rule_has_its_fault() {
    let one = key(1).sign(&first());
    let two = successor(&one, 1);
    let signed_two = key(1).sign(&two);
    let rule = |pinned: &Signed<Manifest>, new: &Signed<Manifest>| {
        follow(&domain(), Some(pinned), new).expect_err("a rule is broken")
    };

    let forged = Signed::<Manifest>::assemble(key(1).public(), signed_two.payload_bytes(), one.signature());
    assert_eq!(rule(&one, &forged), ManifestFault::Signature(VerifyError::BadSignature));
    let stranger = key(9).sign(&two);
    assert!(matches!(rule(&one, &stranger), ManifestFault::Signature(VerifyError::WrongSigner { .. })));
    let elsewhere = "b.example".parse().expect("a domain");
    assert!(matches!(follow(&elsewhere, None, &one), Err(ManifestFault::Domain { .. })));
    let formless = key(1).sign(&Manifest { lineage: None, ..two.clone() });
    assert_eq!(rule(&one, &formless), ManifestFault::Form);
    let zero = key(1).sign(&Manifest { seq: ManifestSeq(0), ..first() });
    assert_eq!(follow(&domain(), None, &zero), Err(ManifestFault::Form));
    assert!(matches!(rule(&signed_two, &one), ManifestFault::RolledBack { .. }));
    let twin = key(1).sign(&Manifest { created: Millis(1), ..two.clone() });
    assert_eq!(rule(&signed_two, &twin), ManifestFault::Equivocation(ManifestSeq(2)));
    let usurper = key(9).sign(&Manifest { root: key(9).public(), ..two.clone() });
    assert_eq!(rule(&one, &usurper), ManifestFault::Root);
    let detached = key(1).sign(&Manifest { previous: Some(manifest_hash(&signed_two)), ..two.clone() });
    assert_eq!(rule(&one, &detached), ManifestFault::Previous);
    let other = key(1).sign(&Manifest { lineage: Some(Lineage::new([0; 32])), ..two });
    assert_eq!(rule(&one, &other), ManifestFault::Lineage);
}

/// The first manifest and `links` more, of which each has the next root.
fn rotating(links: u64) -> Vec<Signed<Manifest>> {
    let mut chain = vec![key(1).sign(&first())];
    for root in 2..2 + links {
        let next = successor(&chain[chain.len() - 1], root);
        chain.push(key(root).sign(&next));
    }
    chain
}

#[test]
fn a_relay_that_changed_its_root_often_is_followed_over_its_links_and_no_link_may_lack() {
    let chain = rotating(5);
    let [pinned, links @ .., newest] = &chain[..] else { unreachable!("six manifests") };
    assert_eq!(follow(&domain(), Some(pinned), newest), Err(ManifestFault::Root));
    let followed = follow_chain(&domain(), pinned, links, newest).expect("every link holds");
    assert_eq!(followed.seq, ManifestSeq(6));
    // One link alone may lack, since each announces the root after its own.
    assert_eq!(follow_chain(&domain(), pinned, &links[1..], newest), Err(ManifestFault::Root));
    assert!(matches!(
        follow_chain(&domain(), pinned, &[links[0].clone(), links[0].clone(), pinned.clone()], newest),
        Err(ManifestFault::RolledBack { .. })
    ));
    assert!(follow_chain(&domain(), newest, &[], newest).is_ok());
}

#[test]
fn an_earlier_link_is_proven_by_the_hash_in_the_next() {
    let chain = rotating(3);
    for pair in chain.windows(2) {
        let later = follow(&domain(), None, &pair[1]).expect("it holds");
        let earlier = precedes(&domain(), &later, &pair[0]).expect("named by its hash");
        assert_eq!(earlier.seq.next(), later.seq);
    }
    // Who has an old root key may sign what they like: no later link names it.
    let last = follow(&domain(), None, &chain[3]).expect("it holds");
    let stolen = key(3).sign(&Manifest { ordering: key(66).public(), ..successor(&chain[1], 3) });
    assert_eq!(precedes(&domain(), &last, &stolen), Err(ManifestFault::Previous));
    assert_eq!(
        precedes(&domain(), &last, &chain[1]),
        Err(ManifestFault::Previous),
        "not the one right before"
    );
    let elsewhere = "b.example".parse().expect("a domain");
    assert!(matches!(precedes(&elsewhere, &last, &chain[2]), Err(ManifestFault::Domain { .. })));
}

#[test]
fn only_who_could_sign_the_position_makes_evidence() {
    let chain = rotating(2);
    let (before, pinned) = (Some(&chain[0]), &chain[1]);
    let twin = key(2).sign(&Manifest { created: Millis(9), ..successor(&chain[0], 2) });
    assert!(contradict(&domain(), before, pinned, &twin), "one root, two words");
    assert!(contradict(&domain(), None, pinned, &twin));
    // A stranger who copies domain, position and lineage.
    let stranger = key(77).sign(&successor(&chain[0], 77));
    assert_eq!(follow(&domain(), Some(pinned), &stranger), Err(ManifestFault::Root));
    assert!(!contradict(&domain(), before, pinned, &stranger));
    // A thief of the root that was replaced.
    let thief = key(1).sign(&successor(&chain[0], 1));
    assert!(!contradict(&domain(), before, pinned, &thief));
    // But where the thief came first, the announced root's word convicts.
    assert!(contradict(&domain(), before, &thief, pinned));
    assert!(!contradict(&domain(), None, &thief, pinned), "the announcement must be known");
    assert!(!contradict(&domain(), before, pinned, pinned));
    assert!(!contradict(&domain(), before, pinned, &chain[2]), "a successor contradicts nothing");
}
