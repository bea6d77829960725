//! Changing a room: from what a person wants to a commit that the hub decided.
//!
//! The wishes are in the vault and stay there until they are done or refused. Each pass finds out what they need, makes one
//! commit of as many as go together, keeps it, and sends it until there is an answer. Where another commit was decided for the
//! epoch, this one is dropped as that one is merged, and the next pass makes another from the wishes, as far as the room is
//! not as they want it already.

use std::collections::BTreeMap;

use posthouse_crypto::room::RoomError;
use posthouse_spec::client::Refusal;
use posthouse_spec::limits::MAX_DEPARTURES;
use posthouse_spec::{AccountId, Domain, RoomId};

use super::advanced::Advanced;
use super::commit::{self, Carried};
use super::fit::Fit;
use super::intake::Intake;
use super::plan::{self, Plan, Scene};
use super::{publish, resolve};
use crate::change::{ChangeState, RoomChange};
use crate::clock;
use crate::context::Context;
use crate::error::ClientError;
use crate::event::Event;
use crate::model::RoomState;
use crate::vault::commits::PendingCommit;
use crate::vault::leavings::Leaving;
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{changes, claims, commits, leavings, publications};

/// Commits that are made for one room in one pass, so that the others have their turn.
const MAX_COMMITS: usize = 8;
/// How often a change is made anew after a refusal that is not about the change itself.
const MAX_ATTEMPTS: u64 = 3;

/// Does what can be done now of what is wanted in a room.
///
/// # Errors
/// The vault's only; what else fails is said at the changes.
pub(crate) async fn advance(context: &Context, id: &RoomId) -> Result<Advanced, ClientError> {
    let mut advanced = Advanced::default();
    let Some(_turn) = context.changing.enter(*id) else { return Ok(advanced) };
    let Some(room) = rooms::by_id(context.vault.read().await?.db()?, id).await? else { return Ok(advanced) };
    match go_on(context, &room, &mut advanced).await {
        Err(error) if error.is_temporary() => {
            let why = waiting_for(&error, context, &room.hub);
            put_off(context, id, &why, &mut advanced).await?;
            advanced.again = true;
        }
        Err(error @ ClientError::Vault(_)) => return Err(error),
        Err(error) => {
            tracing::warn!(room = %id, %error, "a room cannot be changed");
            put_off(context, id, &error.to_string(), &mut advanced).await?;
        }
        Ok(()) => {}
    }
    Ok(advanced)
}

async fn go_on(context: &Context, room: &RoomRow, advanced: &mut Advanced) -> Result<(), ClientError> {
    let id = &room.room;
    let unpublished = publications::find(context.vault.read().await?.db()?, id).await?;
    if let Some(group_info) = unpublished {
        publish::publish(context, id, group_info).await?;
        let mut tx = context.vault.begin().await?;
        publications::remove(tx.db()?, id).await?;
        tx.commit().await?;
    }
    let packages = resolve::resolve(context, room, advanced).await?;
    for _ in 0..MAX_COMMITS {
        let waiting = commits::of_room(context.vault.read().await?.db()?, id).await?;
        let commit = match waiting {
            Some(commit) if commit.again > clock::now() => break,
            Some(commit) => commit,
            None => match propose(context, id, &packages, advanced).await? {
                Some(commit) => commit,
                None => break,
            },
        };
        match commit::carry(context, &commit).await? {
            Carried::Decided(events) => advanced.events.extend(events),
            Carried::Behind(_) => break,
            Carried::Refused(error) => {
                refused(context, id, &error, advanced).await?;
                if is_without_ticket(&error) {
                    // The next pass claims other key packages.
                    context.signals.want_work();
                    break;
                }
            }
        }
    }
    open(context, id).await
}

/// What the room waits for: its hub, or the own relay on the way there.
fn waiting_for(error: &ClientError, context: &Context, hub: &Domain) -> String {
    match error {
        ClientError::Refused { reason: Refusal::RelayUnreachable | Refusal::Busy, .. } => {
            format!("waiting for {hub}")
        }
        ClientError::Unreachable { .. } => format!("waiting for {}", context.owner.alias.domain),
        error => format!("waiting for {hub}: {error}"),
    }
}

/// Says at everything that is wanted in a room why it waits.
async fn put_off(
    context: &Context,
    id: &RoomId,
    why: &str,
    advanced: &mut Advanced,
) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    for state in [ChangeState::Waiting, ChangeState::Deciding] {
        for mut change in changes::in_state(tx.db()?, id, state).await? {
            // What waits for somebody's own relay goes on saying so.
            let said = state == ChangeState::Waiting && change.reason.is_some();
            if !said && change.reason.as_deref() != Some(why) {
                change.reason = Some(why.to_owned());
                advanced.events.push(Event::Change(change.shown()));
                changes::set_state(tx.db()?, change.id, state, Some(why)).await?;
            }
        }
    }
    Ok(tx.commit().await?)
}

/// Makes the next commit, and settles what needs none; `None` where there is nothing to commit now.
async fn propose(
    context: &Context,
    id: &RoomId,
    packages: &BTreeMap<AccountId, Vec<Fit>>,
    advanced: &mut Advanced,
) -> Result<Option<PendingCommit>, ClientError> {
    loop {
        let mut intake = Intake::begin(context).await?;
        let wanted = changes::in_state(intake.tx.db()?, id, ChangeState::Waiting).await?;
        let words = leavings::of_room(intake.tx.db()?, id).await?;
        let now = intake.now;
        let (state, keys) = intake.tx.room(id)?;
        let mut leaves: BTreeMap<AccountId, Vec<u32>> = BTreeMap::new();
        for leaf in state.members() {
            leaves.entry(leaf.member.account).or_default().push(leaf.member.leaf);
        }
        let (own, suite) = (context.owner.account.id(), state.suite());
        let scene = Scene { own, suite, context: state.context(), leaves, now };
        let mut plan = plan::plan(&scene, &wanted, packages);
        let due = words.iter().any(|leaving| leaving.due <= now);
        if due || !plan.is_empty() {
            // Who is removed anyway needs no word of their own.
            let gone = |leaving: &AccountId| {
                scene
                    .leaves
                    .get(leaving)
                    .is_none_or(|own| own.iter().any(|leaf| plan.wish.removes.contains(leaf)))
            };
            let holds = |leaving: &&Leaving| {
                !gone(&leaving.account)
                    && state.check_leave(&leaving.claim).is_ok_and(|goes| !goes.is_empty())
            };
            let stays = words.iter().filter(holds);
            plan.wish.leaves = stays.take(MAX_DEPARTURES).map(|leaving| leaving.claim.clone()).collect();
        }
        if plan.is_empty() && plan.wish.leaves.is_empty() {
            settle(&mut intake, id, &plan).await?;
            advanced.events.extend(intake.commit().await?.0);
            return Ok(None);
        }
        match state.propose(keys, &plan.wish) {
            Ok(proposed) => {
                settle(&mut intake, id, &plan).await?;
                for change in &plan.taken {
                    changes::set_state(intake.tx.db()?, *change, ChangeState::Deciding, None).await?;
                }
                let commit = commit::keep(&mut intake.tx, &context.owner, id, proposed, &plan.fit).await?;
                advanced.events.extend(intake.commit().await?.0);
                return Ok(Some(commit));
            }
            Err(error) => {
                unfit(&mut intake, id, &plan, &error).await?;
                advanced.events.extend(intake.commit().await?.0);
            }
        }
    }
}

/// Notes what became of the wishes that need no commit.
async fn settle(intake: &mut Intake<'_>, id: &RoomId, plan: &Plan) -> Result<(), ClientError> {
    for change in &plan.done {
        end(intake, *change, ChangeState::Done, None).await?;
    }
    for (change, why) in &plan.refused {
        end(intake, *change, ChangeState::Refused, Some(why)).await?;
    }
    for change in &plan.behind {
        let why = "it waits for an earlier change about the same person";
        changes::set_state(intake.tx.db()?, *change, ChangeState::Waiting, Some(why)).await?;
    }
    Ok(changes::prune(intake.tx.db()?, id).await?)
}

async fn end(
    intake: &mut Intake<'_>,
    change: u64,
    state: ChangeState,
    why: Option<&str>,
) -> Result<(), ClientError> {
    changes::set_state(intake.tx.db()?, change, state, why).await?;
    let Some(row) = changes::by_id(intake.tx.db()?, change).await? else { return Ok(()) };
    if let (RoomChange::Add { .. }, Some(account)) = (&row.change, &row.account) {
        claims::remove(intake.tx.db()?, Some(&row.room), account).await?;
    }
    intake.tell(Event::Change(row.shown()));
    Ok(())
}

/// MLS or policy takes no such commit. Of several wishes each is tried for itself; one alone is refused.
async fn unfit(
    intake: &mut Intake<'_>,
    id: &RoomId,
    plan: &Plan,
    error: &RoomError,
) -> Result<(), ClientError> {
    settle(intake, id, plan).await?;
    match (&plan.taken[..], plan.wish.leaves.is_empty()) {
        (_, false) => {
            // The words hold up nothing else. Whoever still wants to go says so again.
            tracing::info!(room = %id, %error, "a word of leaving cannot be committed");
            Ok(leavings::clear(intake.tx.db()?, id).await?)
        }
        ([one], true) => {
            let why = match error {
                RoomError::Policy(rule) => plan::in_words(*rule),
                error => error.to_string(),
            };
            end(intake, *one, ChangeState::Refused, Some(&why)).await
        }
        (several, true) => Ok(changes::separate(intake.tx.db()?, several).await?),
    }
}

/// The hub will not take the commit.
async fn refused(
    context: &Context,
    id: &RoomId,
    error: &ClientError,
    advanced: &mut Advanced,
) -> Result<(), ClientError> {
    let mut intake = Intake::begin(context).await?;
    commit::drop_own(&mut intake.tx, id).await?;
    let deciding = changes::in_state(intake.tx.db()?, id, ChangeState::Deciding).await?;
    let no_ticket = is_without_ticket(error);
    let one = deciding.len() == 1;
    for change in &deciding {
        if let (true, RoomChange::Add { .. }, Some(account)) = (no_ticket, &change.change, &change.account) {
            // With other key packages it may go.
            claims::remove(intake.tx.db()?, Some(id), account).await?;
        }
        let last = change.attempts + 1 >= MAX_ATTEMPTS;
        if (one && !no_ticket) || last {
            end(&mut intake, change.id, ChangeState::Refused, Some(&error.to_string())).await?;
        }
    }
    let now = intake.now;
    changes::back_to_waiting(intake.tx.db()?, id, now, !no_ticket).await?;
    if deciding.is_empty() {
        leavings::clear(intake.tx.db()?, id).await?;
    }
    advanced.events.extend(intake.commit().await?.0);
    Ok(())
}

fn is_without_ticket(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { reason: Refusal::NoTicket, .. })
}

/// A room that was made here is in use when its first members are in it, or when nobody is to come.
async fn open(context: &Context, id: &RoomId) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    let founding = rooms::by_id(tx.db()?, id).await?.is_some_and(|room| room.state == RoomState::Founding);
    let mut expected = false;
    for state in [ChangeState::Waiting, ChangeState::Deciding] {
        let wanted = changes::in_state(tx.db()?, id, state).await?;
        expected |= wanted.iter().any(|change| matches!(change.change, RoomChange::Add { .. }));
    }
    if founding && !expected {
        rooms::set_state(tx.db()?, id, RoomState::Active, None).await?;
    }
    tx.commit().await?;
    context.signals.connection.notify_one();
    Ok(())
}
