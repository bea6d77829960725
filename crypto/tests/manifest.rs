//! Following a relay from manifest to manifest.

use posthouse_crypto::{ManifestFault, SigningKey, VerifyError, follow, key_hash, lineage, manifest_hash};
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
