//! The judge of a room's changes: each rule broken once, and what must stay allowed.
#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use posthouse_spec::cbor::List;
use posthouse_spec::limits::MAX_LEAVES_PQ;
use posthouse_spec::policy::{Change, Committer, Member, PolicyRule, evaluate, evaluate_founding};
use posthouse_spec::room::{Ordering, RelayRef, Role, RoomContext, RoomKind, RoomPolicy, Suite};
use posthouse_spec::{AccountId, DeviceId, Lineage};
use proptest::prelude::*;

const SUITE: Suite = Suite::PostQuantum;

fn relay(name: &str) -> RelayRef {
    RelayRef { domain: name.parse().unwrap(), lineage: Lineage::new([7; 32]) }
}

fn account(n: u8) -> AccountId {
    AccountId::new([n; 32])
}

/// The device `d` of an account, at a leaf.
fn leaf(leaf: u32, owner: u8, d: u8) -> Member {
    let mut id = [owner; 32];
    id[0] = d;
    Member { leaf, account: account(owner), device: DeviceId::new(id), home: "a.example".parse().unwrap() }
}

/// A group of an owner (1), an admin (2) and two members (3, 4), in leaves 0 to 3.
fn group() -> (RoomContext, Vec<Member>) {
    let context = RoomContext {
        kind: RoomKind::Group,
        owners: List::new(vec![account(1)]).unwrap(),
        admins: List::new(vec![account(2)]).unwrap(),
        policy: RoomPolicy { write: Role::Member, add: Role::Admin, change: Role::Admin },
        ordering: Ordering::single(relay("a.example")),
        banned: None,
    };
    (context, (0..4).map(|n| leaf(n, n as u8 + 1, 0)).collect())
}

fn direct() -> (RoomContext, Vec<Member>) {
    (RoomContext::direct(relay("a.example")), vec![leaf(0, 1, 0), leaf(1, 2, 0)])
}

fn by(member: &Member) -> Change {
    Change {
        committer: Committer::Member(member.clone()),
        adds: Vec::new(),
        removes: Vec::new(),
        left: Vec::new(),
        updates: Vec::new(),
        updated: Vec::new(),
        context: None,
        foreign: false,
    }
}

fn judge((context, members): &(RoomContext, Vec<Member>), change: &Change) -> Result<(), PolicyRule> {
    evaluate(SUITE, context, members, change)
}

#[test]
fn an_empty_commit_is_anybodys() {
    let room = group();
    for member in &room.1 {
        assert_eq!(judge(&room, &by(member)), Ok(()));
    }
}

#[test]
fn foreign_proposals_are_refused() {
    let room = group();
    assert_eq!(judge(&room, &Change { foreign: true, ..by(&room.1[0]) }), Err(PolicyRule::ForeignProposal));
}

#[test]
fn newcomers_are_added_by_the_role_that_the_policy_asks_for() {
    let room = group();
    let add = |who: usize| Change { adds: vec![leaf(0, 9, 0)], ..by(&room.1[who]) };
    assert_eq!(judge(&room, &add(0)), Ok(()));
    assert_eq!(judge(&room, &add(1)), Ok(()));
    assert_eq!(judge(&room, &add(2)), Err(PolicyRule::MayNotAdd));
}

#[test]
fn any_member_brings_in_devices_of_those_who_are_in() {
    let room = group();
    assert_eq!(judge(&room, &Change { adds: vec![leaf(0, 4, 1)], ..by(&room.1[2]) }), Ok(()));
}

#[test]
fn one_removes_downwards_and_ones_own() {
    let room = group();
    let remove = |who: usize, whom: usize| {
        judge(&room, &Change { removes: vec![room.1[whom].clone()], ..by(&room.1[who]) })
    };
    assert_eq!(remove(0, 1), Ok(()));
    assert_eq!(remove(1, 2), Ok(()));
    assert_eq!(remove(1, 0), Err(PolicyRule::MayNotRemove));
    assert_eq!(remove(2, 3), Err(PolicyRule::MayNotRemove));
    assert_eq!(remove(2, 2), Ok(()));
}

#[test]
fn whoever_leaves_is_let_go_by_any_member() {
    let room = group();
    let go = |who: usize, whom: usize, left: Vec<u32>| {
        judge(&room, &Change { removes: vec![room.1[whom].clone()], left, ..by(&room.1[who]) })
    };
    assert_eq!(go(2, 3, vec![3]), Ok(()));
    assert_eq!(go(3, 1, vec![1]), Ok(()), "an admin too");
    assert_eq!(go(2, 3, vec![1]), Err(PolicyRule::MayNotRemove), "the word is another's");
    assert_eq!(go(2, 0, vec![0]), Err(PolicyRule::NoOwner), "the last owner stays");
}

#[test]
fn nobody_is_let_go_from_a_direct_room() {
    let room = direct();
    let change = Change { removes: vec![room.1[1].clone()], left: vec![1], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &change), Err(PolicyRule::MayNotRemove));
}

#[test]
fn the_banned_are_not_in_the_room_and_do_not_come_back() {
    let mut room = group();
    let banned = RoomContext { banned: Some(List::new(vec![account(4)]).unwrap()), ..room.0.clone() };
    let ban = |who: usize, removes: Vec<Member>| Change {
        removes,
        context: Some(banned.clone()),
        ..by(&room.1[who])
    };
    let gone = vec![room.1[3].clone()];
    assert_eq!(judge(&room, &ban(1, gone.clone())), Ok(()));
    assert_eq!(judge(&room, &ban(1, Vec::new())), Err(PolicyRule::Banned), "they would still be there");
    assert_eq!(judge(&room, &ban(2, gone)), Err(PolicyRule::MayNotRemove));
    assert_eq!(judge(&room, &ban(2, Vec::new())), Err(PolicyRule::MayNotChange));
    room = (banned, room.1[..3].to_vec());
    let back = Change { adds: vec![leaf(0, 4, 0)], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &back), Err(PolicyRule::Banned));
    let pardoned = Change { context: Some(RoomContext { banned: None, ..room.0.clone() }), ..back };
    assert_eq!(judge(&room, &pardoned), Ok(()));
    assert_eq!(evaluate_founding(SUITE, &group().0, &group().1), Ok(()));
}

#[test]
fn nobody_removes_the_other_from_a_direct_room() {
    let room = direct();
    let change = Change { removes: vec![room.1[1].clone()], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &change), Err(PolicyRule::MayNotRemove));
}

#[test]
fn a_direct_room_takes_devices_but_no_third_account() {
    let room = direct();
    assert_eq!(judge(&room, &Change { adds: vec![leaf(0, 2, 1)], ..by(&room.1[0]) }), Ok(()));
    let third = Change { adds: vec![leaf(0, 3, 0)], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &third), Err(PolicyRule::DirectIsForTwo));
}

#[test]
fn the_context_of_a_direct_room_stays() {
    let room = direct();
    let mut context = room.0.clone();
    assert_eq!(judge(&room, &Change { context: Some(context.clone()), ..by(&room.1[0]) }), Ok(()));
    context.policy.write = Role::Owner;
    assert_eq!(
        judge(&room, &Change { context: Some(context), ..by(&room.1[0]) }),
        Err(PolicyRule::MayNotChange)
    );
}

#[test]
fn admins_change_the_policy_and_owners_the_roles() {
    let room = group();
    let change = |who: usize, edit: fn(&mut RoomContext)| {
        let mut context = room.0.clone();
        edit(&mut context);
        judge(&room, &Change { context: Some(context), ..by(&room.1[who]) })
    };
    let policy: fn(&mut RoomContext) = |context| context.policy.write = Role::Admin;
    let roles: fn(&mut RoomContext) = |context| context.admins = List::default();
    let hub: fn(&mut RoomContext) = |context| context.ordering = Ordering::single(relay("b.example"));
    let kind: fn(&mut RoomContext) = |context| context.kind = RoomKind::Announcement;
    assert_eq!(change(1, policy), Ok(()));
    assert_eq!(change(2, policy), Err(PolicyRule::MayNotChange));
    assert_eq!(change(1, roles), Err(PolicyRule::MayNotChange));
    assert_eq!(change(0, roles), Ok(()));
    assert_eq!(change(1, hub), Err(PolicyRule::MayNotChange));
    assert_eq!(change(0, hub), Ok(()));
    assert_eq!(change(0, kind), Err(PolicyRule::MayNotChange));
}

#[test]
fn a_group_keeps_an_owner_among_its_members() {
    let room = group();
    let leaves = Change { removes: vec![room.1[0].clone()], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &leaves), Err(PolicyRule::NoOwner));
}

#[test]
fn a_device_rejoins_in_the_place_of_its_own_leaf() {
    let room = group();
    let rejoin = |new: Member, removes: Vec<Member>| Change {
        committer: Committer::External(new),
        removes,
        ..by(&room.1[0])
    };
    let own = room.1[2].clone();
    let back = leaf(2, 3, 0);
    assert_eq!(judge(&room, &rejoin(back.clone(), vec![own.clone()])), Ok(()));
    assert_eq!(judge(&room, &rejoin(back.clone(), Vec::new())), Err(PolicyRule::DeviceTwice));
    let removes_another = rejoin(back.clone(), vec![room.1[3].clone()]);
    assert_eq!(judge(&room, &removes_another), Err(PolicyRule::ExternalOnlyRejoins));
    let adds = Change { adds: vec![leaf(0, 9, 0)], ..rejoin(back, vec![own]) };
    assert_eq!(judge(&room, &adds), Err(PolicyRule::ExternalOnlyRejoins));
}

#[test]
fn nobody_comes_in_by_an_external_commit_who_was_not_there() {
    let room = group();
    // A stranger; and a device that claims to be of an account which is in the room.
    for new in [leaf(4, 9, 0), leaf(4, 3, 1)] {
        let change = Change { committer: Committer::External(new), ..by(&room.1[0]) };
        assert_eq!(judge(&room, &change), Err(PolicyRule::ExternalOnlyRejoins));
    }
}

#[test]
fn an_update_leaves_everybody_where_they_are() {
    let room = group();
    let update =
        |after: Member| Change { updates: vec![room.1[2].clone()], updated: vec![after], ..by(&room.1[2]) };
    assert_eq!(judge(&room, &update(room.1[2].clone())), Ok(()));
    for after in
        [leaf(2, 4, 0), leaf(2, 3, 1), Member { home: "b.example".parse().unwrap(), ..room.1[2].clone() }]
    {
        assert_eq!(judge(&room, &update(after)), Err(PolicyRule::LeafIdentity));
    }
}

#[test]
fn a_device_has_one_leaf() {
    let room = group();
    let twice = Change { adds: vec![leaf(0, 4, 0)], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &twice), Err(PolicyRule::DeviceTwice));
}

#[test]
fn the_suite_limits_the_leaves() {
    let room = group();
    let many = |n: usize| (0..n).map(|n| leaf(0, 9, n as u8)).collect::<Vec<_>>();
    let fill = MAX_LEAVES_PQ - room.1.len();
    assert_eq!(judge(&room, &Change { adds: many(fill), ..by(&room.1[0]) }), Ok(()));
    let one_more = Change { adds: many(fill + 1), ..by(&room.1[0]) };
    assert_eq!(judge(&room, &one_more), Err(PolicyRule::SuiteLimit));
    assert_eq!(evaluate(Suite::Classic, &room.0, &room.1, &one_more), Ok(()));
}

#[test]
fn a_room_of_ones_own_devices_takes_nobody_else() {
    let context = RoomContext { kind: RoomKind::Own, ..direct().0 };
    let room = (context, vec![leaf(0, 1, 0)]);
    assert_eq!(judge(&room, &Change { adds: vec![leaf(0, 1, 1)], ..by(&room.1[0]) }), Ok(()));
    let other = Change { adds: vec![leaf(0, 2, 0)], ..by(&room.1[0]) };
    assert_eq!(judge(&room, &other), Err(PolicyRule::OwnDevicesOnly));
}

#[test]
fn a_room_is_founded_with_one_hub_alone() {
    let (context, members) = direct();
    assert_eq!(evaluate_founding(SUITE, &context, &members[..1]), Ok(()));
    let quorum = Ordering { quorum: 2, ..context.ordering.clone() };
    let two = RoomContext { ordering: quorum, ..context.clone() };
    assert_eq!(evaluate_founding(SUITE, &two, &members), Err(PolicyRule::Ordering));
    let nobody = Ordering { acceptors: List::default(), ..context.ordering.clone() };
    let none = RoomContext { ordering: nobody, ..context };
    assert_eq!(evaluate_founding(SUITE, &none, &members), Err(PolicyRule::Ordering));
}

fn any_member() -> impl Strategy<Value = Member> {
    (0..6_u32, 1..6_u8, 0..3_u8).prop_map(|(at, owner, device)| leaf(at, owner, device))
}

fn any_change() -> impl Strategy<Value = Change> {
    let members = || prop::collection::vec(any_member(), 0..4);
    (any_member(), any::<bool>(), members(), members(), members(), members(), any::<bool>()).prop_map(
        |(who, external, adds, removes, updates, updated, foreign)| Change {
            committer: if external { Committer::External(who) } else { Committer::Member(who) },
            adds,
            left: Vec::new(),
            removes,
            updates,
            updated,
            context: None,
            foreign,
        },
    )
}

proptest! {
    /// Whatever is admitted leaves a room that could have been founded: no rule can be walked around in steps.
    #[test]
    fn what_is_admitted_leaves_a_sound_room(change in any_change(), in_group: bool) {
        let room = if in_group { group() } else { direct() };
        if judge(&room, &change).is_ok() {
            let gone = |m: &&Member| !change.removes.iter().any(|gone| gone.leaf == m.leaf);
            let mut after: Vec<Member> = room.1.iter().filter(gone).chain(&change.adds).cloned().collect();
            if let Committer::External(new) = &change.committer {
                after.push(new.clone());
            }
            prop_assert_eq!(evaluate_founding(SUITE, &room.0, &after), Ok(()));
        }
    }
}
