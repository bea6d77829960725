//! Signed containers that hold, and some that do not.

use bytes::Bytes;
use posthouse_crypto::{
    ManifestFault, SigningKey, VerifyError, follow, key_hash, lineage, manifest_hash, sha256, verify,
};
use posthouse_spec::account::{AliasBinding, AliasClaim, KeyClaim, LeafClaim, Login};
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, EpochEndItem, Item, LaneClass};
use posthouse_spec::manifest::{Manifest, Node};
use posthouse_spec::room::{CommitClaim, Decision, LeaveClaim, RejoinClaim};
use posthouse_spec::*;
use serde_json::{Value, json};

use crate::people::*;

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn entry<T: Payload>(kind: &str, signer: u8, value: &T) -> Value {
    let signed = key(signer).sign(value);
    verify(&signed, &key(signer).public()).unwrap_or_else(|fault| panic!("{kind}: {fault}"));
    json!({
        "name": kind,
        "type": kind,
        "label": T::LABEL,
        "signer": name(signer),
        "to_be_signed": hex::encode(signed.to_be_signed()),
        "payload_sha256": hex::encode(sha256(signed.payload_bytes())),
        "hex": hex::encode(signed.as_bytes()),
    })
}

fn alias_claim() -> AliasClaim {
    AliasClaim {
        alias: "alice@a.example".parse().unwrap(),
        account: AccountId::new([0xa0; 32]),
        created: NOW,
    }
}

fn decision() -> Decision {
    Decision {
        room: RoomId::new([0x40; 32]),
        epoch: Epoch(7),
        ballot: Ballot(0),
        commit: posthouse_crypto::commit_hash(b"commit"),
        manifest: ManifestSeq(1),
    }
}

fn envelope() -> Envelope {
    let item = Item::EpochEnd(EpochEndItem {
        room: RoomId::new([0x40; 32]),
        hub: domain("a.example"),
        epoch: Epoch(7),
    });
    Envelope {
        version: ENVELOPE_VERSION,
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: Incarnation::new([0x21; 16]),
        first: LaneSeq(41),
        created: NOW,
        items: List::new(vec![Octets::new(item.to_cbor()).unwrap()]).unwrap(),
    }
}

pub(crate) fn good() -> Vec<Value> {
    let (account, room) = (AccountId::new([0xa0; 32]), RoomId::new([0x40; 32]));
    let claim = key(PHONE).sign(&alias_claim());
    let leaf_claim = LeafClaim {
        account,
        home: domain("a.example"),
        device: key(PHONE).device_id(),
        seq: ChainSeq(0),
        head: EventHash::new([0x30; 32]),
        leaf_key: key(LEAF).public(),
        not_after: NOW.after(limits::LEAF_CLAIM_LIFETIME_MS),
    };
    let login = Login {
        domain: domain("a.example"),
        account,
        device: key(PHONE).device_id(),
        challenge: Octets::new(vec![0x70; 32]).unwrap(),
    };
    let key_claim = KeyClaim {
        claimant: account,
        device: key(PHONE).device_id(),
        alias: "alice@a.example".parse().unwrap(),
        target: AccountId::new([0xb0; 32]),
        domain: domain("b.example"),
        suite: 0x004e,
        created: NOW,
        nonce: Incarnation::new([0x80; 16]),
    };
    let commit_claim =
        CommitClaim { room, epoch: Epoch(7), commit: posthouse_crypto::commit_hash(b"commit") };
    vec![
        entry("signed-alias-claim", PHONE, &alias_claim()),
        entry("signed-alias-binding", ORDERING, &AliasBinding { claim, bound: NOW.after(1000) }),
        entry("signed-leaf-claim", PHONE, &leaf_claim),
        entry("signed-login", PHONE, &login),
        entry("signed-key-claim", PHONE, &key_claim),
        entry("signed-decision", ORDERING, &decision()),
        entry("signed-commit-claim", PHONE, &commit_claim),
        entry(
            "signed-rejoin-claim",
            PHONE,
            &RejoinClaim { room, epoch: Epoch(7), leaf_key: key(LEAF).public() },
        ),
        entry(
            "signed-leave-claim",
            PHONE,
            &LeaveClaim { room, account, leaves: List::new(vec![key(LEAF).public()]).unwrap() },
        ),
        entry("signed-manifest", ROOT, &first_manifest()),
        entry("signed-envelope", NODE, &envelope()),
    ]
}

/// Containers that are well formed and must not be believed, and why.
pub(crate) fn refused() -> Vec<Value> {
    let good = key(ORDERING).sign(&decision());
    let with_signature = |signature: [u8; 64]| {
        Signed::<Decision>::assemble(good.kid(), good.payload_bytes(), Signature::new(signature))
    };
    let mut altered = *good.signature().as_bytes();
    altered[0] ^= 1;
    let mut unreduced = *good.signature().as_bytes();
    add_group_order(&mut unreduced);
    let payload = Decision { epoch: Epoch(8), ..decision() };
    let other_payload = Signed::<Decision>::assemble(good.kid(), &payload.to_cbor(), good.signature());
    let other_label = sign_under(&key(ORDERING), labels::COMMIT_UPLOAD, &decision());
    // The point of order one signs everything when a verifier takes it as a key.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut one = [0; 64];
    one[0] = 1;
    let small_order =
        Signed::<Decision>::assemble(PublicKey::new(identity), good.payload_bytes(), Signature::new(one));
    let cases = [
        ("altered-signature", with_signature(altered), good.kid(), "bad-signature"),
        ("signature-above-the-group-order", with_signature(unreduced), good.kid(), "bad-signature"),
        ("altered-payload", other_payload, good.kid(), "bad-signature"),
        ("label-of-another-kind", other_label, good.kid(), "bad-signature"),
        ("another-signer", key(STRANGER).sign(&decision()), good.kid(), "wrong-signer"),
        ("key-of-small-order", small_order, PublicKey::new(identity), "bad-key"),
    ];
    let entry = |(name, signed, expected, rule): (&str, Signed<Decision>, PublicKey, &str)| {
        let fault = verify(&signed, &expected).unwrap_err();
        let found = match fault {
            VerifyError::WrongSigner { .. } => "wrong-signer",
            VerifyError::BadKey(_) => "bad-key",
            VerifyError::BadSignature => "bad-signature",
            VerifyError::Malformed { fault, .. } => fault.rule(),
        };
        assert_eq!(found, rule, "{name}");
        let hex = hex::encode(signed.as_bytes());
        json!({ "name": name, "type": "signed-decision", "key": expected, "hex": hex, "rule": rule })
    };
    cases.into_iter().map(entry).collect()
}

fn sign_under<T: Payload>(key: &SigningKey, label: &str, value: &T) -> Signed<T> {
    let payload = value.to_cbor();
    let signature = key.sign_bytes(&sign1::to_be_signed(label, &key.public(), &payload));
    Signed::assemble(key.public(), &payload, signature)
}

/// Adds the order of the group to S (RFC 8032, section 5.1.7): the same equation, another encoding.
fn add_group_order(signature: &mut [u8; 64]) {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0_u16;
    for (byte, more) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

fn first_manifest() -> Manifest {
    let node = Node { key: key(NODE).public(), not_before: NOW, not_after: NOW.after(86_400_000) };
    Manifest {
        domain: domain("a.example"),
        seq: ManifestSeq(1),
        previous: None,
        root: key(ROOT).public(),
        next_root: key_hash(&key(NEXT_ROOT).public()),
        ordering: key(ORDERING).public(),
        nodes: List::new(vec![node]).unwrap(),
        addresses: List::new(vec![Text::new("/dns4/a.example/udp/6481/quic-v1").unwrap()]).unwrap(),
        client_url: Text::new("https://a.example").unwrap(),
        created: NOW,
        lineage: None,
        mailbags: None,
        circuits: None,
    }
}

/// What may and may not follow the first manifest when that is pinned.
pub(crate) fn manifests() -> Value {
    let first = key(ROOT).sign(&first_manifest());
    let checked = follow(&domain("a.example"), None, &first).unwrap();
    let second = Manifest {
        seq: ManifestSeq(2),
        previous: Some(manifest_hash(&first)),
        lineage: Some(lineage(&checked)),
        mailbags: None,
        circuits: None,
        created: NOW.after(1000),
        ..first_manifest()
    };
    let next_root = Manifest { root: key(NEXT_ROOT).public(), ..second.clone() };
    let stolen = Manifest { root: key(STRANGER).public(), ..second.clone() };
    let unlinked = Manifest { previous: Some(ManifestHash::new([0x31; 32])), ..second.clone() };
    let another = Manifest { lineage: Some(Lineage::new([0x15; 32])), ..second.clone() };
    let twin = Manifest { created: NOW.after(1), ..first_manifest() };
    let elsewhere = Manifest { domain: domain("b.example"), ..second.clone() };
    let cases = [
        ("same-root", key(ROOT).sign(&second), None),
        ("announced-root", key(NEXT_ROOT).sign(&next_root), None),
        ("another-root", key(STRANGER).sign(&stolen), Some("root-changed")),
        ("another-predecessor", key(ROOT).sign(&unlinked), Some("previous-hash")),
        ("another-lineage", key(ROOT).sign(&another), Some("other-lineage")),
        ("twin-of-the-first", key(ROOT).sign(&twin), Some("equivocation")),
        ("another-domain", key(ROOT).sign(&elsewhere), Some("wrong-domain")),
        ("not-signed-by-its-root", key(STRANGER).sign(&second), Some("signature")),
    ];
    let entry = |(name, manifest, rule): (&str, Signed<Manifest>, Option<&str>)| {
        let found =
            follow(&domain("a.example"), Some(&first), &manifest).err().map(|fault| manifest_rule(&fault));
        assert_eq!(found, rule, "{name}");
        json!({ "name": name, "hex": hex::encode(manifest.as_bytes()), "rule": rule })
    };
    let successors: Vec<Value> = cases.into_iter().map(entry).collect();
    json!({
        "pinned": hex::encode(first.as_bytes()),
        "lineage": lineage(&checked),
        "successors": successors,
    })
}

fn manifest_rule(fault: &ManifestFault) -> &'static str {
    match fault {
        ManifestFault::Signature(_) => "signature",
        ManifestFault::Domain { .. } => "wrong-domain",
        ManifestFault::Form => "bad-form",
        ManifestFault::RolledBack { .. } => "rolled-back",
        ManifestFault::Equivocation(_) => "equivocation",
        ManifestFault::Root => "root-changed",
        ManifestFault::Previous => "previous-hash",
        ManifestFault::Lineage => "other-lineage",
    }
}

#[test]
fn every_container_reads_as_it_was_written() {
    for vector in good() {
        let bytes = Bytes::from(hex::decode(vector["hex"].as_str().unwrap()).unwrap());
        if vector["type"] == "signed-envelope" {
            let signed = Signed::<Envelope>::from_bytes(bytes).unwrap();
            assert_eq!(signed.peek().unwrap(), envelope());
        }
    }
}
