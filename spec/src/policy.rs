//! The one judge of a room's changes: pure, and the same for hub, relays and clients.
//!
//! It sees the old epoch and the commit, and nothing else (no clock, no later knowledge), so that all who judge agree.

use crate::codes;
use crate::ids::{AccountId, DeviceId};
use crate::name::Domain;
use crate::room::{Role, RoomContext, RoomKind, Suite};

/// One leaf of a room's tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its place in the tree.
    pub leaf: u32,
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// The relay that delivers to it.
    pub home: Domain,
}

/// Who made a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committer {
    /// A leaf of the old epoch.
    Member(Member),
    /// Somebody who rejoins by an external commit; their new leaf.
    External(Member),
}

/// What a commit does, as the evaluator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who made it.
    pub committer: Committer,
    /// New leaves; their places are not known yet and stand as 0.
    pub adds: Vec<Member>,
    /// Leaves that go.
    pub removes: Vec<Member>,
    /// Those of them that go by their own account's word: any member may commit it.
    pub left: Vec<u32>,
    /// Leaves whose keys are renewed by an Update proposal, and the committer's by its path.
    pub updates: Vec<Member>,
    /// Leaves after an update, in the same order: an update must not change who stands in a leaf.
    pub updated: Vec<Member>,
    /// The new room context, where a GroupContextExtensions proposal sets one.
    pub context: Option<RoomContext>,
    /// Whether it holds proposals that this protocol has no use for (PSK, ReInit, custom ones).
    pub foreign: bool,
}

codes! {
    /// Why a commit is refused; the same for everybody who judges it.
    pub enum PolicyRule {
        /// A proposal of a kind that rooms do not use.
        1 => ForeignProposal = "foreign-proposal",
        /// A direct room takes no third account.
        2 => DirectIsForTwo = "direct-is-for-two",
        /// The committer's role does not allow adding.
        3 => MayNotAdd = "may-not-add",
        /// The committer's role does not allow removing that member.
        4 => MayNotRemove = "may-not-remove",
        /// The committer's role does not allow this change of the context.
        5 => MayNotChange = "may-not-change",
        /// An external commit may remove one leaf of the same device, and do nothing else.
        6 => ExternalOnlyRejoins = "external-only-rejoins",
        /// A device may have one leaf.
        7 => DeviceTwice = "device-twice",
        /// More leaves than the suite admits.
        8 => SuiteLimit = "suite-limit",
        /// An update that puts somebody else in the leaf.
        9 => LeafIdentity = "leaf-identity",
        /// A group would be left without an owner.
        10 => NoOwner = "no-owner",
        /// The ordering names acceptors or a quorum that this version does not have.
        11 => Ordering = "ordering",
        /// A room of one's own devices takes no other account.
        12 => OwnDevicesOnly = "own-devices-only",
        /// An account that is banned would be in the room.
        13 => Banned = "banned",
    }
}

/// Judges a commit.
///
/// # Errors
/// The first rule that it breaks.
pub fn evaluate(
    suite: Suite,
    context: &RoomContext,
    members: &[Member],
    change: &Change,
) -> Result<(), PolicyRule> {
    if change.foreign {
        return Err(PolicyRule::ForeignProposal);
    }
    leaf_identities(change)?;
    match &change.committer {
        Committer::External(new) => external(members, change, new)?,
        Committer::Member(by) => {
            adds(context, members, change, by)?;
            removes(context, change, by)?;
            context_change(context, change, by)?;
        }
    }
    shape(suite, change.context.as_ref().unwrap_or(context), members, change)
}

/// Judges the first state of a room, before any commit.
///
/// # Errors
/// The first rule that it breaks.
pub fn evaluate_founding(suite: Suite, context: &RoomContext, members: &[Member]) -> Result<(), PolicyRule> {
    valid_ordering(context)?;
    resulting(suite, context, members.iter().collect())
}

fn leaf_identities(change: &Change) -> Result<(), PolicyRule> {
    let same = |(before, after): (&Member, &Member)| {
        before.account == after.account && before.device == after.device && before.home == after.home
    };
    if change.updates.len() == change.updated.len() && change.updates.iter().zip(&change.updated).all(same) {
        Ok(())
    } else {
        Err(PolicyRule::LeafIdentity)
    }
}

fn external(members: &[Member], change: &Change, new: &Member) -> Result<(), PolicyRule> {
    let own_leaf = |m: &Member| m.device == new.device && m.account == new.account;
    // A rejoin takes a leaf's place: otherwise whoever holds a group info could add a device of their own making.
    let known = members.iter().any(own_leaf);
    let only_rejoins = change.adds.is_empty()
        && change.context.is_none()
        && change.removes.len() <= 1
        && change.removes.iter().all(own_leaf);
    if known && only_rejoins { Ok(()) } else { Err(PolicyRule::ExternalOnlyRejoins) }
}

fn adds(context: &RoomContext, members: &[Member], change: &Change, by: &Member) -> Result<(), PolicyRule> {
    // Any member may bring in further devices of an account that is in the room already.
    let newcomer = change.adds.iter().any(|add| members.iter().all(|m| m.account != add.account));
    if newcomer && context.role(&by.account) < context.policy.add {
        return Err(PolicyRule::MayNotAdd);
    }
    Ok(())
}

fn removes(context: &RoomContext, change: &Change, by: &Member) -> Result<(), PolicyRule> {
    let role = context.role(&by.account);
    let allowed = |gone: &Member| {
        gone.account == by.account
            || (context.kind != RoomKind::Direct && change.left.contains(&gone.leaf))
            || (context.kind != RoomKind::Direct
                && role >= Role::Admin
                && (role > context.role(&gone.account)))
    };
    if change.removes.iter().all(allowed) { Ok(()) } else { Err(PolicyRule::MayNotRemove) }
}

fn context_change(context: &RoomContext, change: &Change, by: &Member) -> Result<(), PolicyRule> {
    let Some(new) = &change.context else { return Ok(()) };
    let role = context.role(&by.account);
    let roles_same = new.owners == context.owners && new.admins == context.admins;
    let settings_same = new.kind == context.kind
        && new.policy == context.policy
        && new.ordering == context.ordering
        && new.banned == context.banned;
    let allowed = (roles_same && settings_same)
        || (context.kind != RoomKind::Direct
            && new.kind == context.kind
            && role >= Role::Admin
            && role >= context.policy.change
            && (roles_same && new.ordering == context.ordering || role == Role::Owner));
    if allowed { Ok(()) } else { Err(PolicyRule::MayNotChange) }
}

fn shape(suite: Suite, context: &RoomContext, members: &[Member], change: &Change) -> Result<(), PolicyRule> {
    valid_ordering(context)?;
    let stays = |m: &&Member| !change.removes.iter().any(|gone| gone.leaf == m.leaf);
    let mut after: Vec<&Member> = members.iter().filter(stays).chain(&change.adds).collect();
    if let Committer::External(new) = &change.committer {
        after.push(new);
    }
    resulting(suite, context, after)
}

fn valid_ordering(context: &RoomContext) -> Result<(), PolicyRule> {
    let ordering = &context.ordering;
    let alone = ordering.quorum == 1 && *ordering.acceptors == [ordering.leader.clone()];
    if alone { Ok(()) } else { Err(PolicyRule::Ordering) }
}

fn resulting(suite: Suite, context: &RoomContext, after: Vec<&Member>) -> Result<(), PolicyRule> {
    if after.len() > suite.max_leaves() {
        return Err(PolicyRule::SuiteLimit);
    }
    let mut devices: Vec<_> = after.iter().map(|m| m.device).collect();
    devices.sort_unstable();
    if devices.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PolicyRule::DeviceTwice);
    }
    let mut accounts: Vec<_> = after.iter().map(|m| m.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    if accounts.iter().any(|account| context.is_banned(account)) {
        return Err(PolicyRule::Banned);
    }
    match context.kind {
        RoomKind::Direct if accounts.len() > 2 => Err(PolicyRule::DirectIsForTwo),
        RoomKind::Own if accounts.len() > 1 => Err(PolicyRule::OwnDevicesOnly),
        RoomKind::Group | RoomKind::Announcement
            if !context.owners.iter().any(|owner| accounts.contains(owner)) =>
        {
            Err(PolicyRule::NoOwner)
        }
        _ => Ok(()),
    }
}
