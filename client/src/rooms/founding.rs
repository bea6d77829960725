//! Founding a direct room: look them up, claim their key packages, found, invite, and take the hub's decision.
//!
//! Each step is durable before the next one begins, and each may be asked for again: the claim keeps its nonce, the room
//! its id, the commit its bytes. So a crash anywhere goes on where it stopped, and makes nothing twice.

use posthouse_crypto::room::member::Room;
use posthouse_crypto::{KnownAccount, Verified, lineage};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{RelayRef, RoomContext, RoomKind};
use posthouse_spec::{AccountId, Alias, ManifestSeq, RoomId};

use super::commit::{self, Carried, failed};
use super::fit::{Fit, SUITE, fit_packages};
use super::identity::leaf_identity;
use super::welcome::is_invited;
use super::{claim, publish};
use crate::clock;
use crate::context::Context;
use crate::error::{ClientError, VaultError};
use crate::event::Event;
use crate::model::RoomState;
use crate::trust;
use crate::vault::commits::{self, PendingCommit};
use crate::vault::foundings::{self, Founding};
use crate::vault::requests::{self, Answer};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{claims, contacts};

/// How often an invitation is made anew before its messages are given up.
const MAX_ATTEMPTS: u64 = 3;

/// What came of it.
pub(crate) enum Founded {
    /// There is a room, or there will be one by an invitation that came.
    Ready(Vec<Event>),
    /// Not yet; the reason is for the one who waits.
    Waiting(String),
}

/// Sees to it that there is a room with whom an alias stands for.
///
/// # Errors
/// Where [`ClientError::is_temporary`], the same may work later; else it never will.
pub(crate) async fn provide(context: &Context, alias: &Alias) -> Result<Founded, ClientError> {
    let known = trust::look_up(context, alias).await?;
    let peer = known.account.id();
    let Some(_founder) = context.founders.enter(peer) else {
        return Ok(Founded::Waiting("a room with them is being founded already".to_owned()));
    };
    if !begin(context, &known).await? {
        return Ok(Founded::Ready(Vec::new()));
    }
    let founding = founding(context, &peer).await?;
    let packages = claim::claim(context, &known, None, SUITE).await?;
    let fit = fit_packages(&packages, &known.account, SUITE);
    if fit.is_empty() {
        claim::forget(context, None, &peer).await?;
        return Ok(Founded::Waiting(format!(
            "{alias} has no device that can be invited now; it is tried again with the next connection"
        )));
    }
    let hub = trust::relay(context, &context.owner.alias.domain).await?;
    let room = match founding.room {
        Some((room, _)) => room,
        None => found(context, &peer, &hub).await?,
    };
    hand_over(context, &peer).await?;
    let commit = match invite(context, &room, &fit).await {
        // With these key packages it never works.
        Err(error @ ClientError::Room { .. }) => {
            claim::forget(context, None, &peer).await?;
            return Err(error);
        }
        invited => invited?,
    };
    match commit::carry(context, &commit).await? {
        Carried::Decided(events) => Ok(Founded::Ready(events)),
        Carried::Behind(why) => Ok(Founded::Waiting(why)),
        Carried::Refused(error) => lost(context, &founding.peer, founding.attempts, &room, error).await,
    }
}

/// Asks again for the decisions on commits that were made: an answer may have been lost.
pub(crate) async fn resume(context: &Context) -> Result<Vec<Event>, ClientError> {
    let waiting = commits::of_foundings(context.vault.read().await?.db()?).await?;
    let mut events = Vec::new();
    for (peer, commit) in waiting {
        let Some(_founder) = context.founders.enter(peer) else { continue };
        if commit.again > clock::now() {
            continue;
        }
        match commit::carry(context, &commit).await? {
            Carried::Decided(told) => events.extend(told),
            Carried::Behind(_) => {}
            Carried::Refused(error) => {
                let attempts = founding(context, &peer).await?.attempts;
                lost(context, &peer, attempts, &commit.room, error).await.map(drop)?;
            }
        }
    }
    Ok(events)
}

/// Notes who they are, and that they may write; `false` where no room is needed.
pub(crate) async fn begin(context: &Context, known: &KnownAccount) -> Result<bool, ClientError> {
    let peer = known.account.id();
    let mut tx = context.vault.begin().await?;
    if let Err(error) = trust::recognise(tx.db()?, known).await {
        // What was noted of a newcomer stays.
        tx.commit().await?;
        return Err(error);
    }
    contacts::consent(tx.db()?, &peer).await?;
    let needed = if is_invited(&mut tx, known).await? {
        requests::answer(tx.db()?, &peer, Answer::Accepted).await?;
        context.signals.want_work();
        false
    } else if rooms::direct(tx.db()?, &peer).await?.is_some() {
        false
    } else {
        foundings::begin(tx.db()?, &peer).await?;
        true
    };
    tx.commit().await?;
    Ok(needed)
}

async fn founding(context: &Context, peer: &AccountId) -> Result<Founding, ClientError> {
    let founding = foundings::find(context.vault.read().await?.db()?, peer).await?;
    Ok(founding.ok_or_else(|| VaultError::Content("a founding that was just begun is gone".to_owned()))?)
}

/// Makes the room here.
pub(crate) async fn found(
    context: &Context,
    peer: &AccountId,
    hub: &Verified<Manifest>,
) -> Result<RoomId, ClientError> {
    let id = RoomId::new(rand::random());
    let now = clock::now();
    let room_context = RoomContext::direct(RelayRef { domain: hub.domain.clone(), lineage: lineage(hub) });
    let mut tx = context.vault.begin().await?;
    let (room, group_info) = Room::found(
        tx.keys(),
        &leaf_identity(&context.owner),
        id,
        SUITE,
        &room_context,
        &mut rand::rng(),
        now,
    )
    .map_err(|error| failed("found a room", &error))?;
    let row = RoomRow {
        room: id,
        kind: RoomKind::Direct,
        suite: SUITE,
        state: RoomState::Founding,
        peer: Some(*peer),
        hub: hub.domain.clone(),
        epoch: room.epoch(),
        first_epoch: room.epoch(),
        manifest: ManifestSeq(0),
        reason: None,
    };
    rooms::insert(tx.db()?, &row, now).await?;
    foundings::set_room(tx.db()?, peer, &id, &group_info).await?;
    tx.put_room(room);
    tx.commit().await?;
    Ok(id)
}

/// Hands the room to its hub.
async fn hand_over(context: &Context, peer: &AccountId) -> Result<(), ClientError> {
    let founding = founding(context, peer).await?;
    let Some((room, group_info)) = founding.room else { return Ok(()) };
    if founding.founded {
        return Ok(());
    }
    publish::publish(context, &room, group_info).await?;
    let mut tx = context.vault.begin().await?;
    foundings::set_founded(tx.db()?, peer).await?;
    Ok(tx.commit().await?)
}

/// Makes the commit that adds them, or takes the one that was made before.
pub(crate) async fn invite(
    context: &Context,
    id: &RoomId,
    fit: &[Fit],
) -> Result<PendingCommit, ClientError> {
    let mut tx = context.vault.begin().await?;
    if let Some(commit) = commits::of_room(tx.db()?, id).await? {
        // Nothing was changed; only a commit ends a transaction without a mark.
        tx.commit().await?;
        return Ok(commit);
    }
    let (room, keys) = tx.room(id)?;
    let packages: Vec<Vec<u8>> = fit.iter().map(|fit| fit.bytes.clone()).collect();
    let proposed = room.invite(keys, &packages).map_err(|error| failed("invite them to the room", &error))?;
    let commit = commit::keep(&mut tx, &context.owner, id, proposed, fit).await?;
    tx.commit().await?;
    Ok(commit)
}

/// The hub refused: the commit is dropped, and the next attempt makes another from a new claim.
async fn lost(
    context: &Context,
    peer: &AccountId,
    attempts: u64,
    id: &RoomId,
    refused: ClientError,
) -> Result<Founded, ClientError> {
    let mut tx = context.vault.begin().await?;
    commit::drop_own(&mut tx, id).await?;
    claims::remove(tx.db()?, None, peer).await?;
    foundings::count_attempt(tx.db()?, peer).await?;
    tx.commit().await?;
    if attempts + 1 >= MAX_ATTEMPTS {
        return Err(refused);
    }
    context.signals.want_work();
    Ok(Founded::Waiting(refused.to_string()))
}
