//! Which of the wanted changes go into the next commit, and what becomes of the others. Pure: it sees the room, the wishes in
//! their order and the key packages that are here.
//!
//! Changes about different people do not wait for each other; those about one person keep their order. People come in by
//! other commits than those that change what the room agreed on, so that a newcomer's client can judge by the room as it is
//! whether the one who invites may.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_crypto::room::member::Wish;
use posthouse_spec::cbor::List;
use posthouse_spec::policy::PolicyRule;
use posthouse_spec::room::{Role, RoomContext, RoomPolicy, Suite};
use posthouse_spec::{AccountId, Millis};

use super::fit::Fit;
use crate::change::{RoomChange, Who};
use crate::vault::changes::ChangeRow;

/// Devices that come in by one commit at most: its Welcome stays far below what a handshake may have.
const MAX_ADDED: usize = 256;

/// The room as it stands.
pub(crate) struct Scene<'a> {
    /// This account.
    pub(crate) own: AccountId,
    /// The room's suite.
    pub(crate) suite: Suite,
    /// What the room agreed on.
    pub(crate) context: &'a RoomContext,
    /// Who is in it, with their leaves.
    pub(crate) leaves: BTreeMap<AccountId, Vec<u32>>,
    /// When this is.
    pub(crate) now: Millis,
}

/// What becomes of the wishes.
#[derive(Default)]
pub(crate) struct Plan {
    /// The commit.
    pub(crate) wish: Wish,
    /// Who comes in by it.
    pub(crate) fit: Vec<Fit>,
    /// The changes that it does.
    pub(crate) taken: Vec<u64>,
    /// Changes that need no commit, because the room is so already.
    pub(crate) done: Vec<u64>,
    /// Changes that will not be done, and why.
    pub(crate) refused: Vec<(u64, String)>,
    /// Changes that wait for an earlier one that is held up.
    pub(crate) behind: Vec<u64>,
}

impl Plan {
    /// Whether there is anything to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// What one wish comes to.
enum Step {
    Taken,
    Done,
    Refused(String),
    /// It goes into a later commit.
    Later,
    /// Something of it is not here yet.
    HeldUp,
}

/// Makes the plan.
pub(crate) fn plan(
    scene: &Scene<'_>,
    changes: &[ChangeRow],
    packages: &BTreeMap<AccountId, Vec<Fit>>,
) -> Plan {
    let mut draft = Draft::of(scene);
    let mut plan = Plan::default();
    let mut held_up: Vec<&ChangeRow> = Vec::new();
    for change in changes {
        let same = |earlier: &&ChangeRow| is_about_same(earlier, change);
        if held_up.iter().any(same) {
            plan.behind.push(change.id);
            continue;
        }
        if changes.iter().take_while(|earlier| earlier.id < change.id).any(|earlier| {
            (plan.taken.contains(&earlier.id) || draft.later.contains(&earlier.id))
                && is_about_same(earlier, change)
        }) {
            draft.later.insert(change.id);
            continue;
        }
        if change.due > scene.now || draft.full {
            draft.later.insert(change.id);
            continue;
        }
        let alone = change.alone || is_alone(scene, change);
        if alone && !plan.is_empty() {
            draft.later.insert(change.id);
            continue;
        }
        match draft.take(scene, change, packages) {
            Step::Taken => {
                plan.taken.push(change.id);
                draft.full |= alone;
            }
            Step::Done => plan.done.push(change.id),
            Step::Refused(why) => plan.refused.push((change.id, why)),
            Step::Later => {
                draft.later.insert(change.id);
            }
            Step::HeldUp => held_up.push(change),
        }
    }
    draft.finish(scene, &mut plan);
    plan
}

fn is_about_same(a: &ChangeRow, b: &ChangeRow) -> bool {
    match (a.account, b.account) {
        (Some(a), Some(b)) => a == b,
        _ => a.change.about().is_some() && a.change.about() == b.change.about(),
    }
}

/// Whether a change takes from this account what the other wishes need.
fn is_alone(scene: &Scene<'_>, change: &ChangeRow) -> bool {
    match &change.change {
        RoomChange::Transfer { .. } => true,
        RoomChange::Role { .. } => change.account == Some(scene.own),
        _ => false,
    }
}

/// The room as it will be.
struct Draft {
    owners: Vec<AccountId>,
    admins: Vec<AccountId>,
    banned: Vec<AccountId>,
    policy: RoomPolicy,
    /// Whether what the room agreed on changes.
    touched: bool,
    removes: Vec<u32>,
    fit: Vec<Fit>,
    leaves: usize,
    full: bool,
    later: BTreeSet<u64>,
}

impl Draft {
    fn of(scene: &Scene<'_>) -> Self {
        let context = scene.context;
        Self {
            owners: context.owners.to_vec(),
            admins: context.admins.to_vec(),
            banned: context.banned.iter().flat_map(|banned| banned.iter().copied()).collect(),
            policy: context.policy.clone(),
            touched: false,
            removes: Vec::new(),
            fit: Vec::new(),
            leaves: scene.leaves.values().map(Vec::len).sum(),
            full: false,
            later: BTreeSet::new(),
        }
    }

    fn take(
        &mut self,
        scene: &Scene<'_>,
        change: &ChangeRow,
        packages: &BTreeMap<AccountId, Vec<Fit>>,
    ) -> Step {
        if let RoomChange::Add { .. } = &change.change {
            return self.add(scene, change.account, packages);
        }
        if !self.fit.is_empty() && !matches!(change.change, RoomChange::Remove { .. }) {
            return Step::Later;
        }
        if let RoomChange::Policy { write, add, change } = &change.change {
            return self.set_policy(*write, *add, *change);
        }
        let Some(account) = change.account else {
            return match &change.change {
                RoomChange::Ban { .. } | RoomChange::Unban { .. } => Step::HeldUp,
                _ => Step::Refused(not_in_room(&change.change)),
            };
        };
        match &change.change {
            RoomChange::Remove { .. } => self.remove(scene, &account),
            RoomChange::Ban { .. } => self.ban(scene, &account),
            RoomChange::Unban { .. } => self.unban(&account),
            _ if !scene.leaves.contains_key(&account) => Step::Refused(not_in_room(&change.change)),
            RoomChange::Role { role, .. } => self.set_role(scene, account, *role),
            RoomChange::Transfer { .. } => self.transfer(scene, account),
            RoomChange::Add { .. } | RoomChange::Policy { .. } => Step::Later,
        }
    }

    fn add(
        &mut self,
        scene: &Scene<'_>,
        account: Option<AccountId>,
        packages: &BTreeMap<AccountId, Vec<Fit>>,
    ) -> Step {
        let Some(account) = account else { return Step::HeldUp };
        if scene.leaves.contains_key(&account) {
            return Step::Done;
        }
        if scene.context.is_banned(&account) {
            return Step::Refused(in_words(PolicyRule::Banned));
        }
        let Some(fit) = packages.get(&account) else { return Step::HeldUp };
        if self.touched || self.fit.len() + fit.len() > MAX_ADDED && !self.fit.is_empty() {
            return Step::Later;
        }
        if self.leaves + fit.len() > scene.suite.max_leaves() {
            return Step::Refused(in_words(PolicyRule::SuiteLimit));
        }
        self.leaves += fit.len();
        self.fit.extend(fit.iter().cloned());
        Step::Taken
    }

    fn remove(&mut self, scene: &Scene<'_>, account: &AccountId) -> Step {
        if *account == scene.own {
            return Step::Refused("nobody removes themselves: leave the room instead".to_owned());
        }
        let Some(leaves) = scene.leaves.get(account) else { return Step::Done };
        let has_role = scene.context.role(account) > Role::Member;
        if has_role && scene.context.role(&scene.own) == Role::Owner {
            if !self.fit.is_empty() {
                return Step::Later;
            }
            // Else they would have it again if they ever came back.
            self.drop_role(account);
            self.touched = true;
        }
        self.removes.extend(leaves);
        self.leaves -= leaves.len();
        Step::Taken
    }

    fn ban(&mut self, scene: &Scene<'_>, account: &AccountId) -> Step {
        if self.banned.contains(account) {
            return Step::Done;
        }
        match self.remove(scene, account) {
            Step::Taken | Step::Done => {}
            other => return other,
        }
        self.banned.push(*account);
        self.touched = true;
        Step::Taken
    }

    fn unban(&mut self, account: &AccountId) -> Step {
        if !self.banned.contains(account) {
            return Step::Done;
        }
        self.banned.retain(|banned| banned != account);
        self.touched = true;
        Step::Taken
    }

    fn set_role(&mut self, scene: &Scene<'_>, account: AccountId, role: Role) -> Step {
        if scene.context.role(&account) == role {
            return Step::Done;
        }
        self.drop_role(&account);
        match role {
            Role::Owner => self.owners.push(account),
            Role::Admin => self.admins.push(account),
            Role::Member => {}
        }
        self.touched = true;
        Step::Taken
    }

    fn transfer(&mut self, scene: &Scene<'_>, account: AccountId) -> Step {
        if account == scene.own {
            return Step::Refused("the room is handed to somebody else than yourself".to_owned());
        }
        self.drop_role(&account);
        self.drop_role(&scene.own);
        self.owners.push(account);
        self.admins.push(scene.own);
        self.touched = true;
        Step::Taken
    }

    fn set_policy(&mut self, write: Option<Role>, add: Option<Role>, change: Option<Role>) -> Step {
        let before = self.policy.clone();
        self.policy = RoomPolicy {
            write: write.unwrap_or(before.write),
            add: add.unwrap_or(before.add),
            change: change.unwrap_or(before.change),
        };
        if self.policy == before {
            return Step::Done;
        }
        self.touched = true;
        Step::Taken
    }

    fn drop_role(&mut self, account: &AccountId) {
        self.owners.retain(|owner| owner != account);
        self.admins.retain(|admin| admin != account);
    }

    fn finish(self, scene: &Scene<'_>, plan: &mut Plan) {
        plan.wish.adds = self.fit.iter().map(|fit| fit.bytes.clone()).collect();
        plan.wish.removes = self.removes;
        plan.fit = self.fit;
        if !self.touched {
            return;
        }
        let lists = (List::new(self.owners), List::new(self.admins), List::new(self.banned));
        let (Ok(owners), Ok(admins), Ok(banned)) = lists else {
            // Only the last of several can be one too many: alone it is found out which.
            let why = "the room has as many owners, admins or banned people as it can have";
            let taken = std::mem::take(plan).taken;
            plan.refused.extend(taken.last().map(|last| (*last, why.to_owned())));
            return;
        };
        let banned = (!banned.is_empty()).then_some(banned);
        let context = RoomContext { owners, admins, banned, policy: self.policy, ..scene.context.clone() };
        plan.wish.context = Some(context);
    }
}

fn not_in_room(change: &RoomChange) -> String {
    let who = change.about().as_ref().map_or_else(String::new, Who::to_string);
    format!("{who} is not in the room")
}

/// Why a room's policy forbids something, for the one who wanted it.
pub(crate) fn in_words(rule: PolicyRule) -> String {
    let why = match rule {
        PolicyRule::MayNotAdd => {
            "your role in the room does not allow you to add people: ask an admin or owner"
        }
        PolicyRule::MayNotRemove => {
            "only admins and owners remove people, and only those whose role is lower than theirs: ask an owner, or have \
             the role changed first"
        }
        PolicyRule::MayNotChange => "your role in the room does not allow this change: ask an owner",
        PolicyRule::SuiteLimit => {
            "the room has as many devices as its ciphersuite admits: make a new room with the classic suite for more"
        }
        PolicyRule::NoOwner => "the room would be left without an owner: make somebody else an owner first",
        PolicyRule::Banned => "they are banned from the room: unban them first",
        PolicyRule::DeviceTwice => "one of their devices is in the room already",
        PolicyRule::DirectIsForTwo => "a direct room is for two people: make a group",
        rule => return format!("the room's policy forbids it ({rule})"),
    };
    why.to_owned()
}
