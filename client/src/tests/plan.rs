//! Which wishes go into one commit, as a table of cases. No MLS, no network.

use std::collections::BTreeMap;

use posthouse_spec::account::Invited;
use posthouse_spec::room::{RelayRef, Role, RoomContext, RoomKind, Suite};
use posthouse_spec::{AccountId, DeviceId, Domain, KeyPackageHash, Lineage, Millis, RoomId, Ticket};

use crate::rooms::fit::Fit;
use crate::rooms::plan::{Plan, Scene, plan};
use crate::vault::changes::ChangeRow;
use crate::{ChangeState, ChangeStatus, RoomChange, Who};

fn account(byte: u8) -> AccountId {
    AccountId::new([byte; 32])
}

const OWN: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;
const DAVE: u8 = 4;

/// A group of the own account, which owns it, and of Bob.
fn context() -> RoomContext {
    let domain: Domain = "h.localhost".parse().expect("a domain");
    let hub = RelayRef { domain, lineage: Lineage::new([9; 32]) };
    RoomContext::group(RoomKind::Group, hub, account(OWN))
}

fn row(id: u64, about: u8, change: RoomChange) -> ChangeRow {
    ChangeRow {
        id,
        room: RoomId::new([7; 32]),
        change,
        account: (about != 0).then(|| account(about)),
        state: ChangeState::Waiting,
        reason: None,
        alone: false,
        attempts: 0,
        due: Millis(0),
    }
}

fn who(byte: u8) -> Who {
    Who::Account(account(byte))
}

fn add(id: u64, about: u8) -> ChangeRow {
    let alias = format!("p{about}@h.localhost").parse().expect("an alias");
    row(id, about, RoomChange::Add { alias })
}

fn remove(id: u64, about: u8) -> ChangeRow {
    row(id, about, RoomChange::Remove { member: who(about) })
}

fn role(id: u64, about: u8, role: Role) -> ChangeRow {
    row(id, about, RoomChange::Role { member: who(about), role })
}

fn packages(of: &[u8], devices: usize) -> BTreeMap<AccountId, Vec<Fit>> {
    let fit = |of: u8, device: usize| Fit {
        bytes: vec![of],
        invited: Invited {
            account: account(of),
            device: DeviceId::new([u8::try_from(device % 256).expect("a byte"); 32]),
            domain: "h.localhost".parse().expect("a domain"),
            key_package: KeyPackageHash::new([of; 32]),
            ticket: Ticket::new([of; 32]),
        },
    };
    of.iter().map(|of| (account(*of), (0..devices).map(|device| fit(*of, device)).collect())).collect()
}

fn planned(context: &RoomContext, changes: &[ChangeRow], packages: &BTreeMap<AccountId, Vec<Fit>>) -> Plan {
    let leaves = BTreeMap::from([(account(OWN), vec![0]), (account(BOB), vec![1, 2])]);
    let (own, suite, now) = (account(OWN), Suite::PostQuantum, Millis(100));
    plan(&Scene { own, suite, context, leaves, now }, changes, packages)
}

#[test]
fn what_goes_together_goes_into_one_commit() {
    let wanted = [add(1, CAROL), remove(2, BOB), add(3, DAVE)];
    let plan = planned(&context(), &wanted, &packages(&[CAROL, DAVE], 1));
    assert_eq!(plan.taken, [1, 2, 3]);
    assert_eq!((plan.wish.adds.len(), &plan.wish.removes[..]), (2, &[1, 2][..]));
    assert!(plan.wish.context.is_none());
}

#[test]
fn people_come_in_by_other_commits_than_those_that_change_the_rules() {
    let policy = RoomChange::Policy { write: None, add: Some(Role::Owner), change: None };
    let wanted = [add(1, CAROL), row(2, 0, policy.clone())];
    assert_eq!(planned(&context(), &wanted, &packages(&[CAROL], 1)).taken, [1]);
    let wanted = [row(1, 0, policy), add(2, CAROL)];
    assert_eq!(planned(&context(), &wanted, &packages(&[CAROL], 1)).taken, [1]);
}

#[test]
fn who_is_held_up_holds_up_only_what_is_about_them() {
    let wanted = [add(1, CAROL), role(2, CAROL, Role::Admin), role(3, BOB, Role::Admin)];
    let plan = planned(&context(), &wanted, &BTreeMap::new());
    assert_eq!((&plan.taken[..], &plan.behind[..]), (&[3][..], &[2][..]));
    assert!(plan.refused.is_empty());
}

#[test]
fn changes_about_one_person_keep_their_order() {
    let wanted = [add(1, CAROL), role(2, CAROL, Role::Admin)];
    let plan = planned(&context(), &wanted, &packages(&[CAROL], 1));
    assert_eq!(plan.taken, [1]);
    assert!(plan.refused.is_empty() && plan.behind.is_empty(), "the second comes next");
    let wanted = [remove(1, BOB), add(2, BOB)];
    let plan = planned(&context(), &wanted, &packages(&[BOB], 1));
    assert_eq!((&plan.taken[..], plan.done.len()), (&[1][..], 0), "he is not there already by then");
}

#[test]
fn what_the_room_is_already_needs_no_commit() {
    let wanted = [add(1, BOB), remove(2, CAROL), role(3, OWN, Role::Owner)];
    let plan = planned(&context(), &wanted, &BTreeMap::new());
    assert_eq!(plan.done, [1, 2, 3]);
    assert!(plan.is_empty());
}

#[test]
fn handing_the_room_over_goes_alone_and_last() {
    let transfer = RoomChange::Transfer { member: who(BOB) };
    let wanted = [row(1, BOB, transfer.clone()), add(2, CAROL)];
    let plan = planned(&context(), &wanted, &packages(&[CAROL], 1));
    assert_eq!(plan.taken, [1]);
    let after = plan.wish.context.expect("it changes");
    assert_eq!((after.role(&account(BOB)), after.role(&account(OWN))), (Role::Owner, Role::Admin));
    let wanted = [add(1, CAROL), row(2, BOB, transfer)];
    assert_eq!(planned(&context(), &wanted, &packages(&[CAROL], 1)).taken, [1]);
}

#[test]
fn who_goes_takes_no_role_along() {
    let mut context = context();
    context.admins = posthouse_spec::cbor::List::new(vec![account(BOB)]).expect("one");
    let plan = planned(&context, &[remove(1, BOB)], &BTreeMap::new());
    assert!(plan.wish.context.expect("it changes").admins.is_empty());
    let ban = row(1, BOB, RoomChange::Ban { member: who(BOB) });
    let plan = planned(&context, &[ban], &BTreeMap::new());
    assert_eq!(plan.wish.removes, [1, 2]);
    assert!(plan.wish.context.expect("it changes").is_banned(&account(BOB)));
}

#[test]
fn no_more_devices_than_the_suite_admits() {
    let wanted = [add(1, CAROL), add(2, DAVE)];
    let plan = planned(&context(), &wanted, &packages(&[CAROL, DAVE], 110));
    assert_eq!(plan.taken, [1]);
    assert!(matches!(&plan.refused[..], [(2, why)] if why.contains("classic suite")), "{:?}", plan.refused);
}

#[test]
fn what_was_decided_against_waits_for_its_time() {
    let mut late = remove(1, BOB);
    late.due = Millis(101);
    let plan = planned(&context(), &[late, role(2, BOB, Role::Admin)], &BTreeMap::new());
    assert!(plan.is_empty() && plan.behind.is_empty());
}

#[test]
fn nobody_removes_themselves_or_whom_nobody_knows() {
    let unknown =
        row(2, 0, RoomChange::Remove { member: Who::Alias("x@y.localhost".parse().expect("an alias")) });
    let plan = planned(&context(), &[remove(1, OWN), unknown], &BTreeMap::new());
    assert_eq!(plan.refused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_change_has_stable_names_in_json() {
    let names = [
        (
            RoomChange::Add { alias: "p@h.localhost".parse().expect("an alias") },
            r#"{"want":"add","alias":"p@h.localhost"}"#,
        ),
        (
            RoomChange::Role {
                member: Who::Alias("p@h.localhost".parse().expect("an alias")),
                role: Role::Admin,
            },
            r#"{"want":"role","member":"p@h.localhost","role":"admin"}"#,
        ),
        (
            RoomChange::Policy { write: Some(Role::Admin), add: None, change: None },
            r#"{"want":"policy","write":"admin"}"#,
        ),
    ];
    for (change, json) in names {
        assert_eq!(serde_json::to_string(&change).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<RoomChange>(json).expect("a change"), change);
        let room = RoomId::new([7; 32]);
        let status = ChangeStatus { id: 1, room, change, state: ChangeState::Waiting, reason: None };
        let text = serde_json::to_string(&status).expect("JSON");
        assert_eq!(serde_json::from_str::<ChangeStatus>(&text).expect("a status"), status);
    }
}
