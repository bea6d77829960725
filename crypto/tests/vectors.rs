//! Project Wycheproof's vectors against the primitives that this crate stands on.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use posthouse_crypto::verify_raw;
use posthouse_spec::{PublicKey, Signature};
use wycheproof::TestResult;
use wycheproof::{aead, eddsa, xdh};

/// Strict verification admits no more than Wycheproof does, and refuses nothing that it calls valid: signatures with
/// keys or `R` of small order are not among the valid ones. There is no difference to document.
#[test]
fn ed25519_verification_agrees_with_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the vectors come with the crate");
    let mut seen = 0;
    for group in set.test_groups {
        let key = PublicKey::from_slice(&group.key.pk).expect("every key of the set has 32 bytes");
        for test in group.tests {
            let holds = Signature::from_slice(&test.sig)
                .is_some_and(|signature| verify_raw(&key, &test.msg, &signature).is_ok());
            assert_eq!(holds, test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} vectors");
}

#[test]
fn x25519_agrees_with_wycheproof() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("the vectors come with the crate");
    let mut seen = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let secret: [u8; 32] = test.private_key[..].try_into().expect("32 bytes");
        let public: [u8; 32] = test.public_key[..].try_into().expect("32 bytes");
        let shared = x25519_dalek::StaticSecret::from(secret).diffie_hellman(&public.into());
        // Shared secrets of zero are only acceptable to Wycheproof; HPKE refuses them (RFC 9180, section 7.1.4).
        assert_eq!(shared.as_bytes()[..], test.shared_secret[..], "test {}: {}", test.tc_id, test.comment);
        seen += 1;
    }
    assert!(seen > 500, "only {seen} vectors");
}

#[test]
fn chacha20_poly1305_agrees_with_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).expect("the vectors come with the crate");
    let mut seen = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        seen += 1;
        let Ok(nonce) = <[u8; 12]>::try_from(&test.nonce[..]) else {
            assert_eq!(test.result, TestResult::Invalid, "test {}: another nonce length", test.tc_id);
            continue;
        };
        let cipher = ChaCha20Poly1305::new_from_slice(&test.key).expect("32 bytes");
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let opened = cipher.decrypt(&nonce.into(), Payload { msg: &sealed, aad: &test.aad });
        if test.result == TestResult::Invalid {
            assert!(opened.is_err(), "test {}: {}", test.tc_id, test.comment);
        } else {
            assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "test {}: {}", test.tc_id, test.comment);
            let again = cipher.encrypt(&nonce.into(), Payload { msg: &test.pt, aad: &test.aad });
            assert_eq!(again.as_deref(), Ok(&sealed[..]), "test {}: {}", test.tc_id, test.comment);
        }
    }
    assert!(seen > 200, "only {seen} vectors");
}
