//! Account chains, good and broken, and the safety numbers that follow from them.

use bytes::Bytes;
use posthouse_crypto::{Account, IdentityError, event_hash, safety_number};
use posthouse_spec::account::*;
use posthouse_spec::{AccountId, ChainSeq, Incarnation, Signed};
use serde_json::{Value, json};

use crate::people::*;

type Chain = Vec<Signed<Event>>;

fn genesis(recovery: u8, first: u8) -> Signed<Event> {
    let body = EventBody::Genesis(Genesis {
        recovery: key(recovery).public(),
        device: device(first),
        home: "a.example".parse().unwrap(),
        salt: Incarnation::new([0x77; 16]),
    });
    key(recovery).sign(&Event { seq: ChainSeq(0), previous: None, body, created: NOW })
}

fn start() -> Chain {
    vec![genesis(RECOVERY, PHONE)]
}

/// The next event, as it ought to be.
fn next(chain: &[Signed<Event>], body: EventBody) -> Event {
    let seq = ChainSeq(chain.len() as u64);
    let previous = chain.last().map(event_hash);
    Event { seq, previous, body, created: NOW.after(seq.0 * 1000) }
}

fn with(mut chain: Chain, signer: u8, body: EventBody) -> Chain {
    let event = next(&chain, body);
    chain.push(key(signer).sign(&event));
    chain
}

fn add(seed: u8) -> EventBody {
    EventBody::AddDevice(AddDevice { device: device(seed) })
}

fn revoke(seed: u8, undo_from: Option<u64>) -> EventBody {
    let device = key(seed).device_id();
    EventBody::RevokeDevice(RevokeDevice { device, undo_from: undo_from.map(ChainSeq) })
}

fn rotate(seed: u8) -> EventBody {
    EventBody::RotateRecovery(RotateRecovery { recovery: key(seed).public() })
}

fn two_devices() -> Chain {
    with(start(), PHONE, add(LAPTOP))
}

/// Everything that can happen to an account.
fn long() -> Chain {
    let chain = with(two_devices(), LAPTOP, add(TABLET));
    let chain = with(chain, RECOVERY, revoke(LAPTOP, Some(1)));
    let chain = with(chain, RECOVERY, rotate(NEXT_RECOVERY));
    let home = EventBody::SetHome(SetHome { home: "b.example".parse().unwrap() });
    with(chain, NEXT_RECOVERY, home)
}

fn encoded(chain: &[Signed<Event>]) -> Vec<String> {
    chain.iter().map(|event| hex::encode(event.as_bytes())).collect()
}

pub(crate) fn good() -> Vec<Value> {
    let chains = [
        ("one-device", start()),
        ("two-devices", two_devices()),
        ("device-leaves-by-itself", with(two_devices(), LAPTOP, revoke(LAPTOP, None))),
        ("recovery-adds-a-device", with(start(), RECOVERY, add(LAPTOP))),
        ("undone-moved-and-rotated", long()),
    ];
    let entry = |(name, chain): (&str, Chain)| {
        let account = Account::validate(&chain).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let devices: Vec<_> = account.devices().iter().map(|keys| keys.device).collect();
        json!({
            "name": name,
            "events": encoded(&chain),
            "account": account.id(),
            "head": account.head(),
            "home": account.home(),
            "recovery": account.recovery(),
            "devices": devices,
        })
    };
    chains.into_iter().map(entry).collect()
}

/// A chain with the last event's bytes altered where its signature stands.
fn altered() -> Chain {
    let mut chain = two_devices();
    let last = chain.pop().unwrap();
    let mut bytes = last.as_bytes().to_vec();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    chain.push(Signed::from_bytes(Bytes::from(bytes)).unwrap());
    chain
}

fn misnumbered() -> Chain {
    let mut chain = start();
    let event = Event { seq: ChainSeq(2), ..next(&chain, add(LAPTOP)) };
    chain.push(key(PHONE).sign(&event));
    chain
}

fn unlinked() -> Chain {
    let mut chain = start();
    let previous = Some(event_hash(&genesis(OTHER_RECOVERY, OTHER_PHONE)));
    let event = Event { previous, ..next(&chain, add(LAPTOP)) };
    chain.push(key(PHONE).sign(&event));
    chain
}

fn crowded() -> Chain {
    let spare = posthouse_spec::limits::MAX_DEVICES as u8;
    (0..spare).fold(start(), |chain, n| with(chain, RECOVERY, add(0x40 + n)))
}

fn broken_chains() -> Vec<(&'static str, Chain, ChainFault)> {
    let second_genesis = EventBody::Genesis(Genesis {
        recovery: key(RECOVERY).public(),
        device: device(LAPTOP),
        home: "a.example".parse().unwrap(),
        salt: Incarnation::new([0x78; 16]),
    });
    vec![
        ("no-events", Vec::new(), ChainFault::Empty),
        ("begins-with-a-device", with(Vec::new(), PHONE, add(LAPTOP)), ChainFault::Genesis),
        ("a-second-genesis", with(start(), RECOVERY, second_genesis), ChainFault::Genesis),
        ("position-skipped", misnumbered(), ChainFault::Sequence),
        ("another-predecessor", unlinked(), ChainFault::Previous),
        ("altered-signature", altered(), ChainFault::Signature),
        ("stranger-adds", with(start(), STRANGER, add(LAPTOP)), ChainFault::Signer),
        ("device-rotates", with(start(), PHONE, rotate(NEXT_RECOVERY)), ChainFault::Signer),
        ("device-revokes-another", with(two_devices(), LAPTOP, revoke(PHONE, None)), ChainFault::Signer),
        ("device-undoes", with(two_devices(), PHONE, revoke(PHONE, Some(0))), ChainFault::Signer),
        ("revoked-device-adds", revoked_adds(), ChainFault::Signer),
        ("old-recovery-key", with(long(), RECOVERY, add(0x06)), ChainFault::Signer),
        ("device-comes-back", comes_back(), ChainFault::DeviceReused),
        ("revoked-twice", with(gone(), RECOVERY, revoke(LAPTOP, None)), ChainFault::NotActive),
        ("one-device-too-many", crowded(), ChainFault::TooManyDevices),
    ]
}

fn gone() -> Chain {
    with(two_devices(), RECOVERY, revoke(LAPTOP, None))
}

fn revoked_adds() -> Chain {
    with(gone(), LAPTOP, add(TABLET))
}

fn comes_back() -> Chain {
    with(gone(), PHONE, add(LAPTOP))
}

pub(crate) fn broken() -> Vec<Value> {
    let entry = |(name, chain, rule): (&str, Chain, ChainFault)| match Account::validate(&chain) {
        Err(IdentityError::Chain { fault, seq }) if fault == rule => {
            json!({ "name": name, "events": encoded(&chain), "rule": fault.name(), "at": seq })
        }
        Err(other) => panic!("{name} breaks another rule: {other}"),
        Ok(_) => panic!("{name} was believed"),
    };
    let mut entries: Vec<Value> = broken_chains().into_iter().map(entry).collect();
    entries.push(another_account());
    entries
}

fn another_account() -> Value {
    let (name, chain) = ("another-account", start());
    let asked = AccountId::new([0xee; 32]);
    match Account::validate_as(&asked, &chain) {
        Err(IdentityError::Chain { fault: ChainFault::OtherAccount, seq }) => {
            let rule = ChainFault::OtherAccount.name();
            json!({ "name": name, "account": asked, "events": encoded(&chain), "rule": rule, "at": seq })
        }
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) fn safety_numbers() -> Vec<Value> {
    let other = Account::validate(&[genesis(OTHER_RECOVERY, OTHER_PHONE)]).unwrap();
    let of = |chain: Chain| Account::validate(&chain).unwrap();
    let plain = safety_number(&of(start()), &other);
    assert_eq!(plain, safety_number(&other, &of(start())), "both people see the same");
    assert_eq!(plain, safety_number(&of(two_devices()), &other), "a new device changes nothing");
    assert_ne!(plain, safety_number(&of(long()), &other), "a new recovery key changes it");
    let entry = |(name, chain): (&str, Chain)| {
        let number = safety_number(&of(chain.clone()), &other);
        assert_eq!(number.split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
        json!({ "name": name, "one": encoded(&chain), "other": encoded(other.chain()), "number": number })
    };
    [("two-accounts", start()), ("after-a-rotation", long())].into_iter().map(entry).collect()
}

#[test]
fn every_fault_of_a_chain_has_a_vector() {
    let shown: Vec<String> =
        broken().iter().map(|entry| entry["rule"].as_str().unwrap().to_owned()).collect();
    for fault in ChainFault::ALL {
        assert!(shown.iter().any(|rule| rule == fault.name()), "no chain shows {fault}");
    }
}
