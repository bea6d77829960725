//! The signed container against an independent implementation of COSE.

use coset::{CborSerializable, CoseSign1, iana};
use posthouse_spec::account::Event;
use posthouse_spec::{Cbor, Payload, Signed};

use crate::positive;
use crate::samples::*;

#[test]
fn every_signed_vector_is_a_cose_sign1() {
    for vector in positive::all().iter().filter(|vector| vector.kind.starts_with("signed-")) {
        let cose = CoseSign1::from_slice(&vector.bytes).unwrap();
        let algorithm = coset::Algorithm::Assigned(iana::Algorithm::EdDSA);
        assert_eq!(cose.protected.header.alg, Some(algorithm), "{}", vector.name);
        assert_eq!(cose.protected.header.key_id, fill::<32>(0xd0), "{}", vector.name);
        assert!(cose.unprotected.is_empty(), "{}", vector.name);
        assert_eq!(cose.signature, fill::<64>(0x50), "{}", vector.name);
        assert_eq!(cose.to_vec().unwrap(), vector.bytes, "{}", vector.name);
    }
}

fn same_bytes_to_sign<T: Payload>(value: &T) {
    let ours = signed(value);
    let theirs = CoseSign1::from_slice(ours.as_bytes()).unwrap();
    assert_eq!(theirs.tbs_data(T::LABEL.as_bytes()), ours.to_be_signed(), "{}", T::LABEL);
    assert_eq!(theirs.payload.as_deref(), Some(&ours.payload_bytes()[..]));
}

#[test]
fn the_bytes_to_sign_are_those_of_cose() {
    same_bytes_to_sign(&event(event_bodies().remove(0).1));
    same_bytes_to_sign(&alias_claim());
    same_bytes_to_sign(&alias_binding());
    same_bytes_to_sign(&leaf_claim());
    same_bytes_to_sign(&login());
    same_bytes_to_sign(&key_claim());
    same_bytes_to_sign(&decision());
    same_bytes_to_sign(&commit_claim());
    same_bytes_to_sign(&rejoin_claim());
    same_bytes_to_sign(&leave_claim());
    same_bytes_to_sign(&manifest(false));
    same_bytes_to_sign(&envelope());
}

#[test]
fn a_container_keeps_the_bytes_that_it_was_read_from() {
    let event = event(event_bodies().remove(0).1);
    let made = signed(&event);
    let read = Signed::<Event>::from_bytes(shared(made.as_bytes())).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.peek().unwrap(), event);
    assert_eq!(read.payload_bytes(), &event.to_cbor());
    assert_eq!(Signed::<Event>::from_cbor(&made.to_cbor()).unwrap(), made);
}

#[test]
fn a_container_above_its_limit_is_refused_before_it_is_read() {
    let long = vec![0; Event::LIMIT + 1];
    let refused = Signed::<Event>::from_bytes(shared(&long)).unwrap_err();
    assert_eq!(refused.rule(), "too-long");
}
