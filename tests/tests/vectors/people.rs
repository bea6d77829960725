//! Keys, recovery codes and message ids.

use posthouse_crypto::{BadRecoveryCode, RecoveryCode, SealSecret, SigningKey, message_id};
use posthouse_spec::account::DeviceKeys;
use posthouse_spec::content::MimiContent;
use posthouse_spec::{AccountId, Cbor, Millis, RoomId};
use serde_json::{Value, json};

pub(crate) const NOW: Millis = Millis(1_790_000_000_000);

/// A key whose seed is 32 times the same byte.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) const RECOVERY: u8 = 0x01;
pub(crate) const NEXT_RECOVERY: u8 = 0x02;
pub(crate) const PHONE: u8 = 0x03;
pub(crate) const LAPTOP: u8 = 0x04;
pub(crate) const TABLET: u8 = 0x05;
pub(crate) const ROOT: u8 = 0x11;
pub(crate) const NEXT_ROOT: u8 = 0x12;
pub(crate) const ORDERING: u8 = 0x13;
pub(crate) const NODE: u8 = 0x14;
pub(crate) const LEAF: u8 = 0x15;
pub(crate) const OTHER_RECOVERY: u8 = 0x21;
pub(crate) const OTHER_PHONE: u8 = 0x22;
pub(crate) const STRANGER: u8 = 0x33;

const KEYS: &[(&str, u8)] = &[
    ("recovery", RECOVERY),
    ("next-recovery", NEXT_RECOVERY),
    ("phone", PHONE),
    ("laptop", LAPTOP),
    ("tablet", TABLET),
    ("root", ROOT),
    ("next-root", NEXT_ROOT),
    ("ordering", ORDERING),
    ("node", NODE),
    ("leaf", LEAF),
    ("other-recovery", OTHER_RECOVERY),
    ("other-phone", OTHER_PHONE),
    ("stranger", STRANGER),
];

pub(crate) fn keys() -> Vec<Value> {
    let entry = |(name, seed): &(&str, u8)| {
        let key = key(*seed);
        json!({ "name": name, "seed": hex::encode(key.seed().as_slice()), "public": key.public() })
    };
    KEYS.iter().map(entry).collect()
}

/// The name of the key that a seed makes.
pub(crate) fn name(seed: u8) -> &'static str {
    KEYS.iter().find(|(_, known)| *known == seed).expect("a seed of the table").0
}

/// A device; its X25519 secret is 32 times its seed with the highest bit set.
pub(crate) fn device(seed: u8) -> DeviceKeys {
    let seal = SealSecret::from_bytes([seed | 0x80; 32]).public();
    DeviceKeys { device: key(seed).device_id(), seal }
}

/// Codes whose words follow from entropy of one byte.
const WORDS: &[(&str, &str)] = &[
    (
        "zeros",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
    ),
    (
        "ones",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
    ),
    (
        "mixed",
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner \
         thank year wave sausage worth title",
    ),
];

pub(crate) fn recovery_codes() -> Vec<Value> {
    let entry = |(name, words): &(&str, &str)| {
        let code = RecoveryCode::parse(words).unwrap();
        assert_eq!(&**code.words(), *words);
        let key = code.signing_key();
        let seed = hex::encode(key.seed().as_slice());
        json!({ "name": name, "words": words, "recovery_seed": seed, "recovery_key": key.public() })
    };
    WORDS.iter().map(entry).collect()
}

pub(crate) fn bad_recovery_codes() -> Vec<Value> {
    let zeros = WORDS[0].1;
    let cases = [
        ("a-word-short", zeros.replacen("abandon ", "", 1), "word-count"),
        ("unknown-word", zeros.replacen("abandon abandon", "abandon abandom", 1), "unknown-word"),
        ("wrong-last-word", zeros.replace("art", "zoo"), "checksum"),
    ];
    let entry = |(name, words, expected): (&str, String, &str)| {
        let rule = match RecoveryCode::parse(&words).unwrap_err() {
            BadRecoveryCode::WordCount(_) => "word-count",
            BadRecoveryCode::UnknownWord { position } => {
                assert_eq!(position, 2);
                "unknown-word"
            }
            BadRecoveryCode::Checksum => "checksum",
        };
        assert_eq!(rule, expected, "{name}");
        json!({ "name": name, "words": words, "rule": rule })
    };
    cases.into_iter().map(entry).collect()
}

pub(crate) fn message_ids() -> Vec<Value> {
    let (sender, room) = (AccountId::new([0xa0; 32]), RoomId::new([0x40; 32]));
    let entry = |(name, text): (&str, &str)| {
        let content = MimiContent::text([0xc0; 16], text).unwrap().to_cbor();
        let id = message_id(&sender, &room, &content);
        json!({ "name": name, "sender": sender, "room": room, "content": hex::encode(content), "id": id })
    };
    [("text", "Grüße über das Posthaus"), ("empty", "")].into_iter().map(entry).collect()
}
