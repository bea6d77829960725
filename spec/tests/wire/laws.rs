//! Laws that hold for all bytes: reading never panics, and what is read has one encoding.

use proptest::prelude::*;

use crate::kinds::{self, Kind};
use crate::{negative, positive};

/// Whether the bytes hold a map with a negative key: an extension field, which is skipped and so not written again.
fn has_extension(bytes: &[u8]) -> bool {
    let mut decoder = minicbor::Decoder::new(bytes);
    extension_in(&mut decoder)
}

fn extension_in(decoder: &mut minicbor::Decoder<'_>) -> bool {
    use minicbor::data::Type;
    match decoder.datatype() {
        Ok(Type::Map) => {
            let pairs = decoder.map().unwrap().unwrap_or(0);
            (0..pairs).any(|_| {
                let negative = decoder.probe().int().is_ok_and(|key| i128::from(key) < 0);
                negative || extension_in(decoder) || extension_in(decoder)
            })
        }
        Ok(Type::Array) => {
            let values = decoder.array().unwrap().unwrap_or(0);
            (0..values).any(|_| extension_in(decoder))
        }
        _ => decoder.skip().is_err(),
    }
}

/// Bytes that are read are written again as they were; without their extension fields, where they hold any, and from
/// then on the same.
fn canonical(kind: &Kind, bytes: &[u8]) {
    let Ok(again) = (kind.recode)(bytes) else { return };
    if again != bytes {
        assert!(
            has_extension(bytes),
            "{}: {} was written as {}",
            kind.name,
            hex::encode(bytes),
            hex::encode(again)
        );
        assert!(again.len() < bytes.len());
        assert_eq!((kind.recode)(&again).as_deref(), Ok(&again[..]), "{}", kind.name);
    }
}

/// One way to spoil valid bytes.
#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
    Double(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        2 => (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..10))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Remove),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(a, b)| Damage::Double(a, b)),
    ]
}

fn spoil(bytes: &mut Vec<u8>, damage: Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Set(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Insert(at, more) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, more);
        }
        Damage::Remove(at) => {
            bytes.remove(at.index(bytes.len()));
        }
        Damage::Double(a, b) => {
            let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
            let copy = bytes[a.min(b)..a.max(b)].to_vec();
            let end = bytes.len();
            bytes.splice(end..end, copy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
        for kind in kinds::all() {
            canonical(kind, &bytes);
        }
    }

    #[test]
    fn spoilt_bytes_are_refused_or_read_without_a_panic(damages in prop::collection::vec(damage(), 1..4)) {
        for vector in positive::all() {
            let mut bytes = vector.bytes;
            for damage in damages.clone() {
                spoil(&mut bytes, damage);
            }
            canonical(kinds::named(vector.kind), &bytes);
        }
    }
}

#[test]
fn every_type_refuses_or_reads_the_vectors_of_every_other() {
    let vectors = positive::all();
    let negatives = negative::all(&vectors);
    for bytes in vectors.iter().map(|v| &v.bytes).chain(negatives.iter().map(|n| &n.bytes)) {
        for kind in kinds::all() {
            canonical(kind, bytes);
        }
    }
}

#[test]
fn an_extension_field_is_skipped_and_not_written_again() {
    // {1: 1, -1: {"a": [32("x"), 1.5]}} as `accepted`.
    let bytes = hex::decode("a2010120a1616182d8206178f93e00").unwrap();
    assert!(has_extension(&bytes));
    let again = (kinds::named("accepted").recode)(&bytes).unwrap();
    assert_eq!(hex::encode(again), "a10101");
}
