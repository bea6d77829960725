//! Founding a direct room: look them up, claim their key packages, found, invite, and take the hub's decision.
//!
//! Each step is durable before the next one begins, and each may be asked for again: the claim keeps its nonce, the room
//! its id, the commit its bytes. So a crash anywhere goes on where it stopped, and makes nothing twice.

use posthouse_crypto::room::member::{LeafIdentity, Room};
use posthouse_crypto::{KnownAccount, Verified, lineage};
use posthouse_spec::account::{ClaimedKeyPackages, KeyClaim};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{
    Base64, ClaimRequest, ClaimResponse, CommitRequest, CommitResponse, RoomCreate, RoomResponse,
};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{
    CommitClaim, CommitUpload, Decided, RelayRef, RoomContext, RoomKind, WelcomeBundle,
};
use posthouse_spec::{AccountId, Alias, Incarnation, Malformed, ManifestSeq, RoomId, Signed};
use reqwest::Method;

use super::decided;
use super::fit::{Fit, SUITE, fit_packages};
use super::intake::{Intake, Taken};
use super::welcome::is_invited;
use crate::clock;
use crate::context::Context;
use crate::error::{ClientError, VaultError};
use crate::event::Event;
use crate::model::RoomState;
use crate::trust;
use crate::vault::contacts;
use crate::vault::foundings::{self, Founding, PendingCommit};
use crate::vault::owner::Owner;
use crate::vault::requests::{self, Answer};
use crate::vault::rooms::{self, RoomRow};

/// How long a claim is worth repeating, milliseconds: a relay refuses one that is older than a day.
const CLAIM_LIFETIME_MS: u64 = 20 * 60 * 60 * 1000;
/// How often an invitation is made anew before its messages are given up.
const MAX_ATTEMPTS: u64 = 3;

/// What came of it.
pub(crate) enum Founded {
    /// There is a room, or there will be one by an invitation that came.
    Ready(Vec<Event>),
    /// Not yet; the reason is for the one who waits.
    Waiting(String),
}

/// The part of a leaf claim that says who we are.
pub(crate) fn leaf_identity(owner: &Owner) -> LeafIdentity<'_> {
    LeafIdentity {
        account: owner.account.id(),
        home: owner.account.home().clone(),
        device: &owner.device,
        seq: owner.account.seq(),
        head: owner.account.head(),
    }
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
    let packages = match founding.packages {
        Some(packages) => packages,
        None => claim(context, &known, &founding).await?,
    };
    let fit = fit_packages(&packages, &known.account);
    if fit.is_empty() {
        foundings_reset(context, &peer).await?;
        return Ok(Founded::Waiting(format!(
            "{alias} has no device that can be invited now; it is tried again with the next connection"
        )));
    }
    let hub = trust::relay(context, &context.owner.alias.domain).await?;
    let room = match founding.room {
        Some((room, _)) => room,
        None => found(context, &peer, &hub).await?,
    };
    publish(context, &peer).await?;
    let commit = match invite(context, &room, &fit).await {
        // With these key packages it never works.
        Err(error @ ClientError::Room { .. }) => {
            foundings_reset(context, &peer).await?;
            return Err(error);
        }
        invited => invited?,
    };
    match upload(context, &commit).await {
        Ok(decided) => finish(context, &room, &decided).await.map(Founded::Ready),
        Err(error) if error.is_temporary() => Err(error),
        Err(error) => lost(context, &founding.peer, founding.attempts, &room, error).await,
    }
}

/// Asks again for the decisions on commits that were made: an answer may have been lost.
pub(crate) async fn resume(context: &Context) -> Result<Vec<Event>, ClientError> {
    let waiting = foundings::with_commit(context.vault.read().await?.db()?).await?;
    let mut events = Vec::new();
    for (peer, commit) in waiting {
        let Some(_founder) = context.founders.enter(peer) else { continue };
        match upload(context, &commit).await {
            Ok(decided) => events.extend(finish(context, &commit.room, &decided).await?),
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
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

/// Claims a key package of each of their devices.
async fn claim(
    context: &Context,
    known: &KnownAccount,
    founding: &Founding,
) -> Result<ClaimedKeyPackages, ClientError> {
    let (owner, now) = (&context.owner, context.relay.time().await);
    let claim: Signed<KeyClaim> = match &founding.claim {
        Some((claim, made)) if now.abs_diff(*made) < CLAIM_LIFETIME_MS => claim.clone(),
        _ => {
            let claim = owner.device.sign(&KeyClaim {
                claimant: owner.account.id(),
                device: owner.device.device_id(),
                alias: owner.alias.clone(),
                target: known.account.id(),
                domain: known.account.home().clone(),
                suite: u16::try_from(SUITE.code()).unwrap_or_default(),
                created: now,
                nonce: Incarnation::new(rand::random()),
            });
            let mut tx = context.vault.begin().await?;
            foundings::set_claim(tx.db()?, &founding.peer, &claim, now).await?;
            tx.commit().await?;
            claim
        }
    };
    let doing = format!("invite {}", known.alias);
    let request = ClaimRequest { claim: Base64::of(&claim) };
    let asked = context.relay.ask(owner, &doing, Method::POST, "/v1/claims", Some(&request)).await;
    if let Err(ClientError::Refused { reason: Refusal::ClockSkew, .. }) = &asked {
        // With a clock that is right the next claim is taken; this one never.
        foundings_reset(context, &founding.peer).await?;
    }
    let answer: ClaimResponse = asked?;
    let packages: ClaimedKeyPackages = answer
        .key_packages
        .read()
        .map_err(|fault| context.relay.wrong(&doing, &format!("the key packages: {fault}")))?;
    let mut tx = context.vault.begin().await?;
    foundings::set_packages(tx.db()?, &founding.peer, &packages).await?;
    tx.commit().await?;
    Ok(packages)
}

/// A claim that brought nothing is not repeated: the next one may.
async fn foundings_reset(context: &Context, peer: &AccountId) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    foundings::drop_claim(tx.db()?, peer).await?;
    Ok(tx.commit().await?)
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
async fn publish(context: &Context, peer: &AccountId) -> Result<(), ClientError> {
    let founding = founding(context, peer).await?;
    let Some((room, group_info)) = founding.room else { return Ok(()) };
    if founding.founded {
        return Ok(());
    }
    let request = RoomCreate { group_info: Base64(group_info) };
    let path = format!("/v1/rooms/{room}");
    let _: RoomResponse =
        context.relay.ask(&context.owner, "found a room", Method::PUT, &path, Some(&request)).await?;
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
    if let Some(commit) = foundings::commit_of(tx.db()?, id).await? {
        // Nothing was changed; only a commit ends a transaction without a mark.
        tx.commit().await?;
        return Ok(commit);
    }
    let (room, keys) = tx.room(id)?;
    let packages: Vec<Vec<u8>> = fit.iter().map(|fit| fit.bytes.clone()).collect();
    let proposed = room.invite(keys, &packages).map_err(|error| failed("invite them to the room", &error))?;
    let welcome =
        proposed.welcome.ok_or_else(|| failed("invite them to the room", &"MLS made no Welcome"))?;
    let claim = CommitClaim { room: *id, epoch: proposed.epoch, commit: proposed.hash };
    let bundle = || -> Result<WelcomeBundle, Malformed> {
        Ok(WelcomeBundle {
            welcome: Octets::new(welcome)?,
            group_info: Octets::new(proposed.group_info)?,
            invited: List::new(fit.iter().map(|fit| fit.invited.clone()).collect())?,
        })
    };
    let too_large = |fault: Malformed| failed("invite them to the room", &fault);
    let upload = CommitUpload {
        claim: context.owner.device.sign(&claim),
        commit: Octets::new(proposed.commit).map_err(too_large)?,
        welcome: Some(bundle().map_err(too_large)?),
    };
    let commit = PendingCommit { room: *id, epoch: proposed.epoch, hash: proposed.hash, upload };
    foundings::put_commit(tx.db()?, &commit).await?;
    tx.commit().await?;
    Ok(commit)
}

async fn upload(context: &Context, commit: &PendingCommit) -> Result<Decided, ClientError> {
    let doing = "have the room's hub decide the invitation";
    let request = CommitRequest { upload: Base64::of(&commit.upload) };
    let path = format!("/v1/rooms/{}/commits", commit.room);
    let answer: CommitResponse =
        context.relay.ask(&context.owner, doing, Method::POST, &path, Some(&request)).await?;
    let fault = |fault: Malformed| context.relay.wrong(doing, &format!("the decision: {fault}"));
    answer.decided.read().map_err(fault)
}

/// The hub decided: the room is in use.
pub(crate) async fn finish(
    context: &Context,
    id: &RoomId,
    decided: &Decided,
) -> Result<Vec<Event>, ClientError> {
    let mut asked = false;
    loop {
        let mut intake = Intake::begin(context).await?;
        let row = rooms::by_id(intake.tx.db()?, id).await?;
        let mut row =
            row.ok_or_else(|| VaultError::Content("a room that was just founded is gone".to_owned()))?;
        match decided::take_own(&mut intake, &mut row, decided).await? {
            Taken::Done => {
                let (events, _) = intake.commit().await?;
                context.signals.connection.notify_one();
                return Ok(events);
            }
            // The hub has replaced a key since its manifest was pinned here.
            Taken::Later if !asked => {
                intake.commit().await?;
                trust::relay_for(context, &row.hub, decided).await?;
                asked = true;
            }
            Taken::Later => {
                let doing = "have the room's hub decide the invitation";
                return Err(context.relay.wrong(doing, "the decision is newer than the manifest of its hub"));
            }
        }
    }
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
    let (room, keys) = tx.room(id)?;
    room.drop_own(keys).map_err(|error| failed("drop an invitation", &error))?;
    foundings::remove_commit(tx.db()?, id).await?;
    foundings::drop_claim(tx.db()?, peer).await?;
    foundings::count_attempt(tx.db()?, peer).await?;
    tx.commit().await?;
    if attempts + 1 >= MAX_ATTEMPTS {
        return Err(refused);
    }
    // A stale epoch means that another commit was decided: it comes through the mailbox, and the room moves on.
    let stale = matches!(refused, ClientError::Refused { reason: Refusal::StaleEpoch, .. });
    if !stale {
        context.signals.want_work();
    }
    Ok(Founded::Waiting(refused.to_string()))
}

fn failed(doing: &str, why: &dyn std::fmt::Display) -> ClientError {
    ClientError::Room { doing: doing.to_owned(), why: why.to_string() }
}
