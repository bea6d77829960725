//! Private keys, signatures, seals and recovery codes.

use posthouse_crypto::{
    BadRecoveryCode, RecoveryCode, SealError, SealSecret, SigningKey, VerifyError, open, seal_to, verify,
    verify_any, verify_raw,
};
use posthouse_spec::account::Login;
use posthouse_spec::cbor::Octets;
use posthouse_spec::room::Decision;
use posthouse_spec::{
    AccountId, Ballot, CommitHash, DeviceId, Epoch, ManifestSeq, Payload, PublicKey, RoomId, SealKey,
    Signature, Signed,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn decision() -> Decision {
    Decision {
        room: RoomId::new([1; 32]),
        epoch: Epoch(2),
        ballot: Ballot(0),
        commit: CommitHash::new([3; 32]),
        manifest: ManifestSeq(1),
    }
}

#[test]
fn a_signature_is_checked_over_the_bytes_received() {
    let key = SigningKey::generate(&mut rng(1));
    let signed = key.sign(&decision());
    let received = Signed::<Decision>::from_bytes(signed.as_bytes().clone()).expect("well formed");
    let verified = verify(&received, &key.public()).expect("it holds");
    assert_eq!(*verified, decision());
    assert_eq!(verified.signed(), &signed);
    assert_eq!(verified.into_inner(), decision());
}

#[test]
fn every_altered_byte_is_noticed() {
    let key = SigningKey::generate(&mut rng(1));
    let signed = key.sign(&decision());
    for place in 0..signed.as_bytes().len() {
        let mut altered = signed.as_bytes().to_vec();
        altered[place] ^= 1;
        let verified =
            Signed::<Decision>::from_bytes(altered.into()).map(|signed| verify(&signed, &key.public()));
        assert!(!matches!(verified, Ok(Ok(_))), "byte {place}");
    }
}

#[test]
fn the_signer_must_be_the_one_who_ought_to_sign() {
    let (key, other) = (SigningKey::generate(&mut rng(1)), SigningKey::generate(&mut rng(2)));
    let signed = other.sign(&decision());
    let refused = verify(&signed, &key.public()).expect_err("signed by another");
    assert_eq!(refused, VerifyError::WrongSigner { found: other.public() });
    verify_any(&signed, |kid| [key.public(), other.public()].contains(kid)).expect("one of two may sign");

    // A container that names the right key and carries another's signature.
    let forged = Signed::<Decision>::assemble(key.public(), signed.payload_bytes(), signed.signature());
    assert_eq!(verify(&forged, &key.public()).expect_err("forged"), VerifyError::BadSignature);
}

#[test]
fn a_signature_for_one_kind_is_worth_nothing_for_another() {
    let key = SigningKey::generate(&mut rng(1));
    let login = Login {
        domain: "a.example".parse().expect("a domain"),
        account: AccountId::new([1; 32]),
        device: DeviceId::new([2; 32]),
        challenge: Octets::new(vec![3; 32]).expect("32 bytes"),
    };
    let signed = key.sign(&login);
    let taken = Signed::<Decision>::from_bytes(signed.as_bytes().clone()).expect("the same container");
    assert_eq!(verify(&taken, &key.public()).expect_err("another label"), VerifyError::BadSignature);
    assert_ne!(Login::LABEL, Decision::LABEL);
}

#[test]
fn a_payload_that_is_signed_and_malformed_is_refused() {
    let key = SigningKey::generate(&mut rng(1));
    let payload = [0xa0];
    let signature =
        key.sign_bytes(&posthouse_spec::sign1::to_be_signed(Decision::LABEL, &key.public(), &payload));
    let signed = Signed::<Decision>::assemble(key.public(), &payload, signature);
    assert!(matches!(verify(&signed, &key.public()), Err(VerifyError::Malformed { .. })));
}

#[test]
fn keys_of_small_order_are_refused() {
    // With the neutral element as key and as R, and zero as S, every message would verify.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let key = PublicKey::new(neutral);
    let mut signature = [0; 64];
    signature[0] = 1;
    assert_eq!(verify_raw(&key, b"anything", &Signature::new(signature)), Err(VerifyError::BadKey(key)));
    let no_point = PublicKey::new([2; 32]);
    assert!(verify_raw(&no_point, b"anything", &Signature::new(signature)).is_err());
}

#[test]
fn keys_come_back_from_what_was_stored() {
    let key = SigningKey::generate(&mut rng(1));
    let again = SigningKey::from_seed(&key.seed());
    assert_eq!(again.public(), key.public());
    assert_eq!(PublicKey::from(again.device_id()), key.public());
    let secret = SealSecret::generate(&mut rng(2));
    assert_eq!(SealSecret::from_bytes(*secret.to_bytes()).public(), secret.public());
}

#[test]
fn what_is_sealed_to_a_device_opens_there_alone() {
    let (bob, carol) = (SealSecret::generate(&mut rng(1)), SealSecret::generate(&mut rng(2)));
    let sealed = seal_to(&bob.public(), b"for this use", b"a secret").expect("it seals");
    assert_eq!(open(&bob, b"for this use", &sealed).expect("it opens").as_slice(), b"a secret");
    assert_eq!(open(&carol, b"for this use", &sealed), Err(SealError::DoesNotOpen));
    assert_eq!(open(&bob, b"for that use", &sealed), Err(SealError::DoesNotOpen));
    assert_eq!(open(&bob, b"", &sealed[..31]), Err(SealError::TooShort(31)));
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        assert_eq!(open(&bob, b"for this use", &altered), Err(SealError::DoesNotOpen), "byte {place}");
    }
    assert_eq!(
        seal_to(&SealKey::new([0; 32]), b"", b"a secret"),
        Err(SealError::BadKey),
        "a key of small order"
    );
    let again = seal_to(&bob.public(), b"for this use", b"a secret").expect("it seals");
    assert_ne!(again, sealed, "each seal has its own ephemeral key");
}

#[test]
fn a_recovery_code_comes_back_from_paper() {
    let code = RecoveryCode::generate(&mut rng(1));
    let words = code.words();
    assert_eq!(words.split(' ').count(), 24);
    let typed = format!("  {}\n", words.to_uppercase().replace(' ', "\t "));
    let again = RecoveryCode::parse(&typed).expect("case and white space do not matter");
    assert_eq!(again.signing_key().public(), code.signing_key().public());
}

#[test]
fn a_recovery_code_makes_the_same_key_everywhere() {
    // Computed with Python's hmac module: HKDF-SHA-256 of 32 zero bytes, no salt, info "posthouse/recovery-key/1".
    let code = RecoveryCode::parse(&format!("{}art", "abandon ".repeat(23))).expect("BIP-39's first vector");
    assert_eq!(hex::encode(code.signing_key().seed().as_slice()), RECOVERY_SEED_OF_ZEROS);
}

/// The seed of the recovery key behind 32 bytes of zero.
const RECOVERY_SEED_OF_ZEROS: &str = "31a746b8c0bb2d64689a60fef8bc0271a8e785b200a5495b811b757db8191c6d";

#[test]
fn a_mistyped_recovery_code_says_where_it_is_wrong() {
    let code = RecoveryCode::generate(&mut rng(1));
    let words = code.words();
    let mut list: Vec<&str> = words.split(' ').collect();
    assert_eq!(RecoveryCode::parse(&list[..23].join(" ")).unwrap_err(), BadRecoveryCode::WordCount(23));
    assert_eq!(RecoveryCode::parse("").unwrap_err(), BadRecoveryCode::WordCount(0));
    let right = list[6];
    list[6] = "posthouse";
    let unknown = RecoveryCode::parse(&list.join(" ")).unwrap_err();
    assert_eq!(unknown, BadRecoveryCode::UnknownWord { position: 7 });
    assert!(!unknown.to_string().contains("posthouse"), "no word of a code stands in an error");
    list[6] = if right == "zebra" { "zero" } else { "zebra" };
    assert_eq!(RecoveryCode::parse(&list.join(" ")).unwrap_err(), BadRecoveryCode::Checksum);
}

#[test]
fn no_secret_shows_in_debug_output() {
    let key = SigningKey::from_seed(&[0x5a; 32]);
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("SigningKey({:?}, secret)", key.public()));
    assert!(!shown.contains("5a5a") && !shown.contains("90"), "{shown}");
    let secret = SealSecret::from_bytes([0x5a; 32]);
    assert_eq!(format!("{secret:?}"), format!("SealSecret({:?}, secret)", secret.public()));
    assert_eq!(format!("{:?}", RecoveryCode::generate(&mut rng(1))), "RecoveryCode(secret)");
}
