//! The negative vectors: for every family of frames the ways in which a record, a choice or a container can be broken,
//! and then the rules that only one type has.

use posthouse_spec::Cbor;
use posthouse_spec::limits::{MAX_DEPTH, MAX_ENVELOPE_ITEMS, MAX_FIELDS};

use crate::book::{Negative, Vector};
use crate::frames::*;
use crate::samples::*;

/// The types that arrive from outside as a whole: the payloads that are signed, and the frames of every socket.
const FAMILIES: &[&str] = &[
    "event",
    "alias-claim",
    "alias-binding",
    "leaf-claim",
    "login",
    "key-claim",
    "manifest",
    "room-context",
    "decision",
    "commit-claim",
    "commit-upload",
    "rejoin-claim",
    "leave-claim",
    "departures",
    "room-info",
    "envelope",
    "item",
    "peer-hello",
    "hello-response",
    "deliver-frame",
    "receipt-frame",
    "keys-request",
    "keys-response",
    "room-request",
    "room-response",
    "up",
    "down",
    "delivery",
    "account-record",
];

struct Ledger(Vec<Negative>);

impl Ledger {
    fn put(&mut self, kind: &'static str, name: &str, rule: &'static str, bytes: Vec<u8>) {
        self.0.push(Negative { name: format!("{kind}/{name}"), kind, rule, bytes });
    }

    fn hex(&mut self, kind: &'static str, name: &str, rule: &'static str, hex: &str) {
        self.put(kind, name, rule, hex::decode(hex.replace(' ', "")).unwrap());
    }
}

/// All of them; the breakable bytes are taken from the positive vectors.
pub(crate) fn all(vectors: &[Vector]) -> Vec<Negative> {
    let mut ledger = Ledger(Vec::new());
    for kind in FAMILIES {
        let valid = vectors.iter().find(|vector| vector.kind == *kind).expect("every family has a vector");
        broken(&mut ledger, kind, &valid.bytes);
    }
    for vector in vectors.iter().filter(|vector| vector.kind.starts_with("signed-")) {
        containers(&mut ledger, vector.kind, &vector.bytes);
    }
    values(&mut ledger);
    extensions(&mut ledger);
    content(&mut ledger);
    ledger.0
}

fn broken(ledger: &mut Ledger, kind: &'static str, valid: &[u8]) {
    ledger.put(kind, "empty", "truncated", Vec::new());
    ledger.put(kind, "cut-short", "truncated", valid[..valid.len() - 1].to_vec());
    ledger.put(kind, "followed-by-null", "trailing-bytes", [valid, &[0xf6]].concat());
    ledger.hex(kind, "boolean", "wrong-type", "f5");
    if valid[0] >> 5 == 5 {
        record(ledger, kind, valid);
    } else {
        ledger.hex(kind, "unknown-number", "unknown-variant", "82 1863 00");
        ledger.hex(kind, "number-in-long-form", "not-canonical", "82 1801 00");
        ledger.hex(kind, "one-part", "bad-value", "81 01");
        ledger.hex(kind, "three-parts", "too-long", "83 01 00 00");
        ledger.hex(kind, "indefinite-length", "not-canonical", "9f 01 00 ff");
    }
}

/// A map whose head is one byte, as those of all records here.
fn record(ledger: &mut Ledger, kind: &'static str, valid: &[u8]) {
    let more = |pair: &[u8]| [&[valid[0] + 1], &valid[1..], pair].concat();
    ledger.put(kind, "unknown-key", "unknown-field", more(&[0x18, 0x63, 0x00]));
    ledger.put(kind, "repeated-key", "key-order", more(&[0x01, 0x00]));
    ledger.put(kind, "key-in-long-form", "not-canonical", [&[valid[0], 0x18], &valid[1..]].concat());
    ledger.put(
        kind,
        "length-in-long-form",
        "not-canonical",
        [&[0xb8, valid[0] & 0x1f], &valid[1..]].concat(),
    );
    ledger.put(kind, "indefinite-length", "not-canonical", [&[0xbf], &valid[1..], &[0xff]].concat());
    ledger.put(kind, "text-key", "wrong-type", [&[valid[0] + 1], &valid[1..], &[0x61, b'x', 0x00]].concat());
    ledger.hex(kind, "no-fields", "missing-field", "a0");
    ledger.put(kind, "too-many-fields", "too-long", vec![0xb8, MAX_FIELDS as u8 + 1]);
}

fn containers(ledger: &mut Ledger, kind: &'static str, valid: &[u8]) {
    ledger.put(kind, "cut-short", "truncated", valid[..valid.len() - 1].to_vec());
    ledger.put(kind, "followed-by-null", "trailing-bytes", [valid, &[0xf6]].concat());
    ledger.put(kind, "tagged", "wrong-type", [&[0xd2], valid].concat());
    // 84, the protected header as a byte string of 38: 58 26 a2 01 27 04 58 20 kid; then the unprotected header.
    let with = |at: usize, byte: u8| {
        let mut bytes = valid.to_vec();
        bytes[at] = byte;
        bytes
    };
    ledger.put(kind, "another-algorithm", "bad-value", with(5, 0x26));
    ledger.put(kind, "another-header", "bad-value", with(6, 0x05));
    let unprotected = [&valid[..41], &[0xa1, 0x04, 0x41, 0x00], &valid[42..]].concat();
    ledger.put(kind, "unprotected-header", "bad-value", unprotected);
    let payload = [&valid[..42], &[0xf6], &valid[valid.len() - 66..]].concat();
    ledger.put(kind, "detached-payload", "wrong-type", payload);
    let mut three = valid[..valid.len() - 66].to_vec();
    three[0] = 0x83;
    ledger.put(kind, "no-signature", "bad-value", three);
    let short = [&valid[..valid.len() - 66], &[0x58, 63], &valid[valid.len() - 63..]].concat();
    ledger.put(kind, "short-signature", "too-long", short);
}

fn values(ledger: &mut Ledger) {
    ledger.hex("domain", "upper-case", "bad-value", "69 412e6578616d706c65");
    ledger.hex("domain", "ipv4-address", "bad-value", "69 3132372e302e302e31");
    ledger.hex("domain", "ipv4-address-in-hexadecimal", "bad-value", "6a 30783766303030303031");
    ledger.hex("domain", "empty-label", "bad-value", "64 612e2e62");
    ledger.hex("domain", "not-utf-8", "wrong-type", "61 ff");
    ledger.put("domain", "too-long", "too-long", [&[0x78, 254][..], &[b'a'; 254]].concat());
    ledger.hex("alias-name", "empty", "bad-value", "60");
    ledger.hex("alias-name", "space", "bad-value", "63 612062");
    ledger.hex("alias", "no-at-sign", "bad-value", "65 616c696365");
    ledger.hex("suite", "unknown", "unknown-variant", "02");
    ledger.hex("role", "number-in-long-form", "not-canonical", "1801");
    ledger.hex("role", "negative", "wrong-type", "20");
    ledger.hex("device-ack", "above-2-to-the-63", "bad-value", "a1 01 1b7fffffffffffffff");
    ledger.hex("claim-request", "no-fields", "missing-field", "a0");
    ledger.hex("deliver-frame", "envelope-of-1-gib", "truncated", "82 02 5a40000000");
    let mut long = room_refusal(false).to_cbor();
    long.truncate(4);
    long.extend([0x79, 0x02, 0x01]);
    long.extend([b'x'; 513]);
    ledger.put("room-refusal", "detail-too-long", "too-long", long);
    let mut hello = peer_hello().to_cbor();
    hello[2..3].copy_from_slice(&[0x1a]);
    hello.splice(3..3, [0x00, 0x01, 0x00, 0x00]);
    ledger.put("peer-hello", "version-above-16-bits", "bad-value", hello);
    let mut items = posthouse_spec::envelope::Envelope { items: list(Vec::new()), ..envelope() }.to_cbor();
    items.pop();
    items.extend([0x99]);
    items.extend((MAX_ENVELOPE_ITEMS as u16 + 1).to_be_bytes());
    ledger.put("envelope", "too-many-items", "too-long", items);
    ledger.hex("node", "short-key", "too-long", "a3 01 41ff 02 00 03 00");
}

/// Extension fields are skipped, and must be canonical all the same.
fn extensions(ledger: &mut Ledger) {
    let accepted = |value: &[u8]| [&[0xa2, 0x01, 0x01, 0x20], value].concat();
    let put = |ledger: &mut Ledger, name: &str, rule, value: &[u8]| {
        ledger.put("accepted", &format!("extension-{name}"), rule, accepted(value));
    };
    put(ledger, "number-in-long-form", "not-canonical", &[0x18, 0x01]);
    put(ledger, "float-in-long-form", "not-canonical", &[0xfa, 0x3f, 0x80, 0x00, 0x00]);
    put(ledger, "indefinite-text", "not-canonical", &[0x7f, 0xff]);
    put(ledger, "unsorted-map", "key-order", &[0xa2, 0x02, 0x00, 0x01, 0x00]);
    put(ledger, "simple-value", "wrong-type", &[0xe0]);
    put(ledger, "undefined", "wrong-type", &[0xf7]);
    put(ledger, "cut-short", "truncated", &[0x82, 0x00]);
    put(ledger, "too-deep", "too-deep", &[&[0x81; MAX_DEPTH + 1][..], &[0x00]].concat());
    ledger.hex("accepted", "extension-before-field", "key-order", "a2 20 00 01 01");
}

fn content(ledger: &mut Ledger) {
    let (_, text) = contents().remove(0);
    let valid = text.to_cbor();
    let kind = "mimi-content";
    ledger.put(kind, "cut-short", "truncated", valid[..valid.len() - 1].to_vec());
    ledger.put(kind, "followed-by-null", "trailing-bytes", [&valid[..], &[0xf6]].concat());
    ledger.hex(kind, "map", "wrong-type", "a0");
    ledger.hex(kind, "six-parts", "bad-value", "86");
    ledger.put(kind, "short-salt", "bad-value", [&[0x87, 0x4f], &valid[3..]].concat());
    ledger.put(kind, "extensions-not-a-map", "wrong-type", {
        let mut bytes = valid.clone();
        // Behind the salt: null, an empty topic, null, null, and the empty map of extensions.
        bytes[22] = 0x80;
        bytes
    });
    ledger.hex("nested-part", "two-parts", "bad-value", "82 01 60");
    ledger.hex("nested-part", "null-with-content", "bad-value", "84 01 60 00 40");
    ledger.hex("nested-part", "too-many-parts", "too-long", "98 24");
}
