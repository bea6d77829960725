//! What follows from a commit that was merged: who is in the room now, what its history says of it, and what becomes of
//! what was wanted.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_crypto::room::member::Room;
use posthouse_spec::policy::{Change, Committer};
use posthouse_spec::room::{RoomContext, RoomKind};
use posthouse_spec::{AccountId, ChainSeq, Domain, RoomId};

use super::intake::Intake;
use super::{info, leaving, news, over};
use crate::change::ChangeState;
use crate::error::ClientError;
use crate::event::Event;
use crate::group::RoomNews;
use crate::model::RoomState;
use crate::vault::members::MemberRow;
use crate::vault::rooms::RoomRow;
use crate::vault::{changes, claims, contacts, contexts, leavings, members, wanted_chains};

/// The shortest wait after a commit that came too late, milliseconds; it doubles with each.
const FIRST_WAIT_MS: u64 = 200;
/// How often it doubles.
const MAX_DOUBLINGS: u64 = 5;

/// A room before a commit.
pub(crate) struct Before {
    context: RoomContext,
    accounts: BTreeSet<AccountId>,
    /// Whether a commit of this device's own waited.
    pub(crate) had_own: bool,
}

impl Before {
    /// The room as it stands.
    pub(crate) fn of(state: &Room, had_own: bool) -> Self {
        let accounts = state.members().iter().map(|leaf| leaf.member.account).collect();
        Self { context: state.context().clone(), accounts, had_own }
    }
}

/// Notes who is in a room and what it agreed on, and asks for the chains of those who are not known.
pub(crate) async fn record(intake: &mut Intake<'_>, room: &RoomId) -> Result<(), ClientError> {
    let (state, _) = intake.tx.room(room)?;
    let (epoch, context, leaves) = (state.epoch(), state.context().clone(), state.members());
    let mut rows: BTreeMap<AccountId, MemberRow> = BTreeMap::new();
    let mut newest: BTreeMap<AccountId, (ChainSeq, Domain)> = BTreeMap::new();
    for leaf in &leaves {
        let account = leaf.member.account;
        let home = leaf.member.home.clone();
        let row = rows.entry(account).or_insert_with(|| MemberRow {
            account,
            role: context.role(&account),
            home: home.clone(),
            devices: 0,
        });
        row.devices += 1;
        let seq = newest.entry(account).or_insert((leaf.claim.seq, home));
        seq.0 = seq.0.max(leaf.claim.seq);
    }
    let rows: Vec<MemberRow> = rows.into_values().collect();
    members::replace(intake.tx.db()?, room, &rows).await?;
    contexts::put(intake.tx.db()?, room, epoch, &context).await?;
    newest.remove(&intake.owner.account.id());
    for (account, (seq, home)) in newest {
        if contacts::seq(intake.tx.db()?, &account).await?.is_none_or(|known| known < seq) {
            wanted_chains::want(intake.tx.db()?, &account, &home).await?;
            intake.work = true;
        }
    }
    Ok(())
}

/// Draws the consequences of a commit that was merged.
pub(crate) async fn settle(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    before: Before,
    change: &Change,
    is_own: bool,
) -> Result<(), ClientError> {
    let by = committer(change);
    let (state, _) = intake.tx.room(&room.room)?;
    if state.own_leaf().is_none() {
        return out(intake, room, by, change).await;
    }
    let after = Before::of(state, false);
    record(intake, &room.room).await?;
    if matches!(room.kind, RoomKind::Group | RoomKind::Announcement) {
        for told in happened(by, &before, &after, change) {
            let by = match &told {
                // Who leaves does it; whoever commits it only lets them go.
                RoomNews::Left { accounts } => accounts.first().copied(),
                _ => Some(by),
            };
            news::put(intake, &room.room, by, &told).await?;
        }
    }
    for gone in before.accounts.difference(&after.accounts) {
        leavings::remove(intake.tx.db()?, &room.room, gone).await?;
    }
    if is_own {
        done(intake, room, &before, &after, change).await?;
    } else if before.had_own {
        lost(intake, &room.room).await?;
    }
    if room.state == RoomState::Left {
        leaving::say_again(intake, room).await?;
    }
    Ok(())
}

/// This device is not in the room any more.
async fn out(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    by: AccountId,
    change: &Change,
) -> Result<(), ClientError> {
    let own = intake.owner.account.id();
    let went = change.removes.iter().find(|gone| gone.account == own);
    let left = room.state == RoomState::Left || went.is_some_and(|gone| change.left.contains(&gone.leaf));
    if left {
        return over::close(intake, room, RoomState::Left, leaving::LEFT).await;
    }
    let who = news::name(intake, &by).await?;
    over::close(intake, room, RoomState::Removed, &format!("{who} removed you from the room")).await?;
    let told = RoomNews::Removed { by: Some(by), accounts: vec![own] };
    news::put(intake, &room.room, Some(by), &told).await
}

/// An own commit was decided: what was wanted by it is done.
async fn done(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    before: &Before,
    after: &Before,
    change: &Change,
) -> Result<(), ClientError> {
    for mut row in changes::in_state(intake.tx.db()?, &room.room, ChangeState::Deciding).await? {
        changes::set_state(intake.tx.db()?, row.id, ChangeState::Done, None).await?;
        (row.state, row.reason) = (ChangeState::Done, None);
        intake.tell(Event::Change(row.shown()));
    }
    changes::prune(intake.tx.db()?, &room.room).await?;
    for account in after.accounts.difference(&before.accounts) {
        claims::remove(intake.tx.db()?, Some(&room.room), account).await?;
    }
    if !change.adds.is_empty() {
        info::offer(intake, &room.room).await?;
    }
    intake.work = true;
    Ok(())
}

/// Another commit was decided: what was wanted waits for the next one.
async fn lost(intake: &mut Intake<'_>, room: &RoomId) -> Result<(), ClientError> {
    let deciding = changes::in_state(intake.tx.db()?, room, ChangeState::Deciding).await?;
    let losses = deciding.iter().map(|change| change.attempts).max().unwrap_or(0);
    let due = intake.now.after(wait(losses, rand::random()));
    changes::back_to_waiting(intake.tx.db()?, room, due, false).await?;
    leavings::put_off(intake.tx.db()?, room, due).await?;
    intake.work = true;
    Ok(())
}

/// All of it is chance, so that those who lost together do not meet again.
fn wait(losses: u64, chance: u16) -> u64 {
    let most = FIRST_WAIT_MS << losses.min(MAX_DOUBLINGS);
    1 + most * u64::from(chance) / u64::from(u16::MAX)
}

fn committer(change: &Change) -> AccountId {
    match &change.committer {
        Committer::Member(member) | Committer::External(member) => member.account,
    }
}

/// What a commit did, line by line.
fn happened(by: AccountId, before: &Before, after: &Before, change: &Change) -> Vec<RoomNews> {
    let left: BTreeSet<AccountId> = change
        .removes
        .iter()
        .filter(|gone| change.left.contains(&gone.leaf))
        .map(|gone| gone.account)
        .collect();
    let added: Vec<AccountId> = after.accounts.difference(&before.accounts).copied().collect();
    let (went, removed): (Vec<AccountId>, Vec<AccountId>) =
        before.accounts.difference(&after.accounts).copied().partition(|account| left.contains(account));
    let bans = |context: &RoomContext| -> BTreeSet<AccountId> {
        context.banned.iter().flat_map(|banned| banned.iter().copied()).collect()
    };
    let (banned_before, banned_now) = (bans(&before.context), bans(&after.context));
    let banned: Vec<AccountId> = banned_now.difference(&banned_before).copied().collect();
    let unbanned: Vec<AccountId> = banned_before.difference(&banned_now).copied().collect();
    let removed: Vec<AccountId> = removed.into_iter().filter(|gone| !banned.contains(gone)).collect();
    let by = Some(by);
    let mut lines = Vec::new();
    if !removed.is_empty() {
        lines.push(RoomNews::Removed { by, accounts: removed });
    }
    if !banned.is_empty() {
        lines.push(RoomNews::Banned { by, accounts: banned });
    }
    if !unbanned.is_empty() {
        lines.push(RoomNews::Unbanned { by, accounts: unbanned });
    }
    if !went.is_empty() {
        lines.push(RoomNews::Left { accounts: went });
    }
    if !added.is_empty() {
        lines.push(RoomNews::Added { by, accounts: added });
    }
    for account in before.accounts.intersection(&after.accounts) {
        let role = after.context.role(account);
        if role != before.context.role(account) {
            lines.push(RoomNews::Role { by, account: *account, role });
        }
    }
    if before.context.policy != after.context.policy {
        let policy = &after.context.policy;
        let (write, add, change) = (policy.write, policy.add, policy.change);
        lines.push(RoomNews::Policy { by, write, add, change });
    }
    lines
}
