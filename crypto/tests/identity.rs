//! Accounts: their chains, the records that relays hand out, and safety numbers.

use posthouse_crypto::identity::{add_device, genesis, revoke_device, rotate_recovery, set_home};
use posthouse_crypto::{
    Account, IdentityError, SealSecret, SigningKey, account_id, event_hash, safety_number, verify_record,
};
use posthouse_spec::account::{
    AccountRecord, AddDevice, AliasBinding, AliasClaim, ChainFault, DeviceKeys, Event, EventBody,
};
use posthouse_spec::cbor::List;
use posthouse_spec::limits::MAX_DEVICES;
use posthouse_spec::{Alias, ChainSeq, DeviceId, EventHash, Millis, Signed};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const NOW: Millis = Millis(1_790_000_000_000);

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&mut StdRng::seed_from_u64(seed))
}

fn device(key: &SigningKey) -> DeviceKeys {
    let seal = SealSecret::from_bytes(*key.seed()).public();
    DeviceKeys { device: key.device_id(), seal }
}

/// An account with its recovery key and its first device.
fn person(seed: u64) -> (Account, SigningKey, SigningKey) {
    let (recovery, phone) = (key(seed), key(seed + 1));
    let home = "a.example".parse().expect("a domain");
    let first = genesis(&recovery, device(&phone), home, &mut StdRng::seed_from_u64(seed), NOW);
    (Account::validate(&[first]).expect("a chain of one event"), recovery, phone)
}

fn extended(account: &Account, event: Signed<Event>) -> Account {
    let mut account = account.clone();
    account.extend(event).expect("the event holds");
    account
}

fn fault(result: Result<impl std::fmt::Debug, IdentityError>) -> (u64, ChainFault) {
    match result.expect_err("the chain breaks a rule") {
        IdentityError::Chain { seq, fault } => (seq.0, fault),
        other => unreachable!("another error: {other}"),
    }
}

/// What `event` leads to behind `account`; an account that refuses an event is as it was.
fn refused(account: &Account, event: Signed<Event>) -> ChainFault {
    let mut tried = account.clone();
    let (seq, fault) = fault(tried.extend(event));
    assert_eq!(seq, account.seq().next().0);
    assert_eq!((tried.head(), tried.devices()), (account.head(), account.devices()));
    fault
}

#[test]
fn an_account_lives_through_every_kind_of_event() {
    let (account, recovery, phone) = person(10);
    assert_eq!(account.id(), account_id(&account.chain()[0]));
    assert_eq!(account.home().as_str(), "a.example");

    let (laptop, next_recovery) = (key(20), key(21));
    let account = extended(&account, add_device(&account, &phone, device(&laptop), NOW));
    assert_eq!(account.devices(), [device(&phone), device(&laptop)]);
    let account = extended(&account, revoke_device(&account, &phone, phone.device_id(), None, NOW));
    assert_eq!(account.devices(), [device(&laptop)]);
    let account = extended(&account, rotate_recovery(&account, &recovery, next_recovery.public(), NOW));
    assert_eq!(account.recovery(), next_recovery.public());
    let home = "b.example".parse().expect("a domain");
    let account = extended(&account, set_home(&account, &next_recovery, home, NOW));
    assert_eq!(account.home().as_str(), "b.example");
    assert_eq!((account.seq(), account.chain().len()), (ChainSeq(4), 5));

    let again = Account::validate(account.chain()).expect("the whole chain holds");
    assert_eq!(
        (again.id(), again.head(), again.devices()),
        (account.id(), account.head(), account.devices())
    );
    Account::validate_as(&account.id(), account.chain()).expect("it is this account");
}

#[test]
fn a_device_held_where_it_was_active() {
    let (account, recovery, phone) = person(10);
    let laptop = key(20);
    let account = extended(&account, add_device(&account, &phone, device(&laptop), NOW));
    let account = extended(&account, revoke_device(&account, &recovery, laptop.device_id(), None, NOW));
    let hash = |place: usize| event_hash(&account.chain()[place]);
    let held = |key: &SigningKey, seq: u64, hash| account.held(&key.device_id(), ChainSeq(seq), &hash);
    assert!(held(&phone, 0, hash(0)) && held(&phone, 2, hash(2)));
    assert!(held(&laptop, 1, hash(1)));
    assert!(!held(&laptop, 0, hash(0)), "not yet");
    assert!(!held(&laptop, 2, hash(2)), "no longer");
    assert!(!held(&laptop, 1, hash(0)), "another chain");
    assert!(!held(&phone, 3, EventHash::new([0; 32])), "beyond the end");
    assert!(!account.is_active(&laptop.device_id()) && account.is_active(&phone.device_id()));
}

#[test]
fn the_recovery_key_undoes_what_a_stolen_device_added() {
    let (account, recovery, phone) = person(10);
    let (own, thief, thiefs_second) = (key(20), key(21), key(22));
    let account = extended(&account, add_device(&account, &phone, device(&own), NOW));
    let stolen_from = account.seq().next();
    let account = extended(&account, add_device(&account, &phone, device(&thief), NOW));
    let account = extended(&account, add_device(&account, &thief, device(&thiefs_second), NOW));
    // The thief cannot throw out the owner's devices on the way.
    let lockout = revoke_device(&account, &phone, phone.device_id(), Some(ChainSeq(0)), NOW);
    assert_eq!(refused(&account, lockout), ChainFault::Signer);
    let undo = revoke_device(&account, &recovery, phone.device_id(), Some(stolen_from), NOW);
    let account = extended(&account, undo);
    assert_eq!(account.devices(), [device(&own)], "what was added before stays");
}

#[test]
fn a_chain_is_empty() {
    assert_eq!(fault(Account::validate(&[])), (0, ChainFault::Empty));
}

#[test]
fn genesis_is_first_and_only_first() {
    let (account, recovery, phone) = person(10);
    let later = add_device(&account, &phone, device(&key(20)), NOW);
    assert_eq!(fault(Account::validate(&[later])), (0, ChainFault::Genesis));
    let second = Event {
        seq: ChainSeq(1),
        previous: Some(account.head()),
        body: account.chain()[0].peek().expect("Genesis").body,
        created: NOW,
    };
    assert_eq!(refused(&account, recovery.sign(&second)), ChainFault::Genesis);
}

#[test]
fn positions_count_up_by_one() {
    let (account, recovery, phone) = person(10);
    let body = EventBody::AddDevice(AddDevice { device: device(&key(20)) });
    for seq in [0, 2] {
        let event =
            Event { seq: ChainSeq(seq), previous: Some(account.head()), body: body.clone(), created: NOW };
        assert_eq!(refused(&account, phone.sign(&event)), ChainFault::Sequence);
    }
    let mut first = account.chain()[0].peek().expect("Genesis");
    first.seq = ChainSeq(1);
    assert_eq!(fault(Account::validate(&[recovery.sign(&first)])), (0, ChainFault::Sequence));
}

#[test]
fn every_event_names_the_one_before() {
    let (account, recovery, phone) = person(10);
    let body = EventBody::AddDevice(AddDevice { device: device(&key(20)) });
    for previous in [None, Some(EventHash::new([0; 32]))] {
        let event = Event { seq: ChainSeq(1), previous, body: body.clone(), created: NOW };
        assert_eq!(refused(&account, phone.sign(&event)), ChainFault::Previous);
    }
    let mut first = account.chain()[0].peek().expect("Genesis");
    first.previous = Some(account.head());
    assert_eq!(fault(Account::validate(&[recovery.sign(&first)])), (0, ChainFault::Previous));
}

#[test]
fn signatures_hold() {
    let (account, _, phone) = person(10);
    let event = add_device(&account, &phone, device(&key(20)), NOW);
    let other = add_device(&account, &phone, device(&key(21)), NOW);
    let forged = Signed::<Event>::assemble(phone.public(), event.payload_bytes(), other.signature());
    assert_eq!(refused(&account, forged), ChainFault::Signature);
}

#[test]
fn only_who_may_sign_signs() {
    let (account, recovery, phone) = person(10);
    let (stranger, laptop) = (key(30), key(20));
    let two = extended(&account, add_device(&account, &recovery, device(&laptop), NOW));
    let home: posthouse_spec::Domain = "b.example".parse().expect("a domain");
    let wrong = [
        add_device(&two, &stranger, device(&key(40)), NOW),
        revoke_device(&two, &phone, laptop.device_id(), None, NOW),
        rotate_recovery(&two, &phone, stranger.public(), NOW),
        set_home(&two, &phone, home.clone(), NOW),
    ];
    for event in wrong {
        assert_eq!(refused(&two, event), ChainFault::Signer);
    }
    let body = account.chain()[0].peek().expect("Genesis");
    assert_eq!(fault(Account::validate(&[phone.sign(&body)])), (0, ChainFault::Signer));

    // A revoked device adds nobody, and an old recovery key moves nothing.
    let one = extended(&two, revoke_device(&two, &recovery, laptop.device_id(), None, NOW));
    assert_eq!(refused(&one, add_device(&one, &laptop, device(&key(40)), NOW)), ChainFault::Signer);
    let rotated = extended(&one, rotate_recovery(&one, &recovery, stranger.public(), NOW));
    assert_eq!(refused(&rotated, set_home(&rotated, &recovery, home, NOW)), ChainFault::Signer);
}

#[test]
fn a_device_joins_once_and_leaves_once() {
    let (account, recovery, phone) = person(10);
    assert_eq!(
        refused(&account, add_device(&account, &recovery, device(&phone), NOW)),
        ChainFault::DeviceReused
    );
    let gone = extended(&account, revoke_device(&account, &phone, phone.device_id(), None, NOW));
    assert_eq!(refused(&gone, add_device(&gone, &recovery, device(&phone), NOW)), ChainFault::DeviceReused);
    assert_eq!(
        refused(&gone, revoke_device(&gone, &phone, phone.device_id(), None, NOW)),
        ChainFault::NotActive
    );
    let never = revoke_device(&gone, &recovery, DeviceId::new([1; 32]), None, NOW);
    assert_eq!(refused(&gone, never), ChainFault::NotActive);
}

#[test]
fn an_account_has_so_many_devices() {
    let (mut account, recovery, phone) = person(10);
    for seed in 1..MAX_DEVICES as u64 {
        account = extended(&account, add_device(&account, &phone, device(&key(100 + seed)), NOW));
    }
    let one_more = device(&key(99));
    assert_eq!(
        refused(&account, add_device(&account, &phone, one_more.clone(), NOW)),
        ChainFault::TooManyDevices
    );
    let account = extended(&account, revoke_device(&account, &recovery, phone.device_id(), None, NOW));
    extended(&account, add_device(&account, &recovery, one_more, NOW));
}

#[test]
fn a_chain_is_of_one_account() {
    let (account, ..) = person(10);
    let (other, ..) = person(50);
    assert_eq!(fault(Account::validate_as(&account.id(), other.chain())), (0, ChainFault::OtherAccount));
}

fn record(account: &Account, alias: &Alias, signer: &SigningKey, relay: &SigningKey) -> AccountRecord {
    let claim = AliasClaim { alias: alias.clone(), account: account.id(), created: NOW };
    let binding = AliasBinding { claim: signer.sign(&claim), bound: NOW };
    let chain = List::new(account.chain().to_vec()).expect("within the limit");
    AccountRecord { binding: relay.sign(&binding), chain }
}

#[test]
fn a_record_ties_alias_account_and_chain_together() {
    let (account, _, phone) = person(10);
    let (relay, alias) = (key(60), "alice@a.example".parse::<Alias>().expect("an alias"));
    let known = verify_record(&record(&account, &alias, &phone, &relay), Some(&alias), &relay.public());
    let known = known.expect("the record holds");
    assert_eq!((known.alias, known.account.id(), known.bound), (alias.clone(), account.id(), NOW));

    let no_binding = verify_record(&record(&account, &alias, &phone, &key(61)), None, &relay.public());
    assert!(matches!(no_binding, Err(IdentityError::Binding(_))));
    let no_claim = verify_record(&record(&account, &alias, &key(62), &relay), None, &relay.public());
    assert!(matches!(no_claim, Err(IdentityError::Claim(_))));
    let wanted = "bob@a.example".parse().expect("an alias");
    let other_alias =
        verify_record(&record(&account, &alias, &phone, &relay), Some(&wanted), &relay.public());
    assert!(matches!(other_alias, Err(IdentityError::OtherAlias { .. })));
    let mut swapped = record(&account, &alias, &phone, &relay);
    let same_device_elsewhere = genesis(
        &key(70),
        device(&phone),
        "a.example".parse().expect("a domain"),
        &mut StdRng::seed_from_u64(70),
        NOW,
    );
    swapped.chain = List::new(vec![same_device_elsewhere]).expect("one event");
    assert!(matches!(verify_record(&swapped, None, &relay.public()), Err(IdentityError::OtherAccount(_))));
    swapped.chain = List::default();
    assert!(matches!(verify_record(&swapped, None, &relay.public()), Err(IdentityError::Chain { .. })));
}

#[test]
fn a_record_outlives_the_device_that_claimed_the_alias() {
    let (account, recovery, phone) = person(10);
    let account = extended(&account, add_device(&account, &phone, device(&key(20)), NOW));
    let account = extended(&account, revoke_device(&account, &recovery, phone.device_id(), None, NOW));
    let (relay, alias) = (key(60), "alice@a.example".parse::<Alias>().expect("an alias"));
    verify_record(&record(&account, &alias, &phone, &relay), Some(&alias), &relay.public())
        .expect("it holds");
}

#[test]
fn a_safety_number_is_the_same_for_both_and_changes_with_the_recovery_key_alone() {
    let (alice, recovery, phone) = person(10);
    let (bob, ..) = person(50);
    let number = safety_number(&alice, &bob);
    assert_eq!(number, safety_number(&bob, &alice));
    assert_eq!(number.len(), 71);
    assert!(number.split(' ').all(|group| group.len() == 5 && group.bytes().all(|b| b.is_ascii_digit())));
    assert_eq!(number.split(' ').count(), 12);

    let more = extended(&alice, add_device(&alice, &phone, device(&key(20)), NOW));
    let moved = extended(&more, set_home(&more, &recovery, "b.example".parse().expect("a domain"), NOW));
    assert_eq!(safety_number(&moved, &bob), number, "devices and relays come and go");
    let rotated = extended(&moved, rotate_recovery(&moved, &recovery, key(21).public(), NOW));
    assert_ne!(safety_number(&rotated, &bob), number);
}
