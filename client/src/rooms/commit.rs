//! An own commit on its way: kept before it is sent, sent until there is a decision, and merged only with that.

use std::fmt;
use std::time::Duration;

use posthouse_crypto::room::member::Proposed;
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, CommitRequest, CommitResponse};
use posthouse_spec::room::{CommitClaim, CommitUpload, Decided, WelcomeBundle};
use posthouse_spec::{Malformed, Millis, RoomId};
use reqwest::Method;

use super::decided;
use super::fit::Fit;
use super::intake::{Intake, Taken};
use crate::clock;
use crate::context::Context;
use crate::error::{ClientError, VaultError};
use crate::event::Event;
use crate::trust;
use crate::vault::Tx;
use crate::vault::commits::{self, PendingCommit};
use crate::vault::owner::Owner;
use crate::vault::rooms;

/// What a hub is asked for, as errors say it.
const DOING: &str = "have the room's hub decide a change";
/// How long a commit that came too late is left alone: the decision that was faster comes through the mailbox before.
const BEHIND_WAIT: Duration = Duration::from_secs(15);

/// What became of a commit.
pub(crate) enum Carried {
    /// The hub decided it, and it is merged.
    Decided(Vec<Event>),
    /// Something else may have been decided; which of the two it was comes through the mailbox.
    Behind(String),
    /// The hub will not take it.
    Refused(ClientError),
}

/// Keeps a commit that was just made, with what its newcomers get.
pub(crate) async fn keep(
    tx: &mut Tx<'_>,
    owner: &Owner,
    room: &RoomId,
    proposed: Proposed,
    fit: &[Fit],
) -> Result<PendingCommit, ClientError> {
    let claim = CommitClaim { room: *room, epoch: proposed.epoch, commit: proposed.hash };
    let bundle = |welcome: Vec<u8>| -> Result<WelcomeBundle, Malformed> {
        Ok(WelcomeBundle {
            welcome: Octets::new(welcome)?,
            group_info: Octets::new(proposed.group_info)?,
            invited: List::new(fit.iter().map(|fit| fit.invited.clone()).collect())?,
        })
    };
    let too_large = |fault: Malformed| failed("make a change of a room", &fault);
    let upload = CommitUpload {
        claim: owner.device.sign(&claim),
        commit: Octets::new(proposed.commit).map_err(too_large)?,
        welcome: proposed.welcome.map(bundle).transpose().map_err(too_large)?,
    };
    let (epoch, hash) = (proposed.epoch, proposed.hash);
    let commit = PendingCommit { room: *room, epoch, hash, upload, again: Millis::default() };
    commits::put(tx.db()?, &commit).await?;
    Ok(commit)
}

/// Sends a commit, and merges it if it is decided.
///
/// # Errors
/// The hub's answer is not known; the same commit is sent again.
pub(crate) async fn carry(context: &Context, commit: &PendingCommit) -> Result<Carried, ClientError> {
    match upload(context, commit).await {
        Ok(decided) => finish(context, &commit.room, &decided).await.map(Carried::Decided),
        Err(error) if error.is_temporary() => Err(error),
        Err(error) => match &error {
            // Where it is not on the roster any more, this device may have been removed after its commit was decided.
            ClientError::Refused { reason: Refusal::StaleEpoch | Refusal::NotMember, .. } => {
                let again = clock::now().after(u64::try_from(BEHIND_WAIT.as_millis()).unwrap_or_default());
                let mut tx = context.vault.begin().await?;
                commits::put_off(tx.db()?, &commit.room, again).await?;
                tx.commit().await?;
                Ok(Carried::Behind(error.to_string()))
            }
            ClientError::Refused { .. } => Ok(Carried::Refused(error)),
            _ => Err(error),
        },
    }
}

async fn upload(context: &Context, commit: &PendingCommit) -> Result<Decided, ClientError> {
    let request = CommitRequest { upload: Base64::of(&commit.upload) };
    let path = format!("/v1/rooms/{}/commits", commit.room);
    let answer: CommitResponse =
        context.relay.ask(&context.owner, DOING, Method::POST, &path, Some(&request)).await?;
    let fault = |fault: Malformed| context.relay.wrong(DOING, &format!("the decision: {fault}"));
    answer.decided.read().map_err(fault)
}

/// The hub decided: the room moves on.
pub(crate) async fn finish(
    context: &Context,
    id: &RoomId,
    decided: &Decided,
) -> Result<Vec<Event>, ClientError> {
    let mut asked = false;
    loop {
        let mut intake = Intake::begin(context).await?;
        let row = rooms::by_id(intake.tx.db()?, id).await?;
        let mut row = row.ok_or_else(|| VaultError::Content("a room of an own commit is gone".to_owned()))?;
        match decided::take_own(&mut intake, &mut row, decided).await? {
            Taken::Done => {
                let (events, work) = intake.commit().await?;
                if work {
                    context.signals.want_work();
                }
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
                return Err(context.relay.wrong(DOING, "the decision is newer than the manifest of its hub"));
            }
        }
    }
}

/// Drops an own commit that will never be decided.
pub(crate) async fn drop_own(tx: &mut Tx<'_>, id: &RoomId) -> Result<(), ClientError> {
    let (room, keys) = tx.room(id)?;
    room.drop_own(keys).map_err(|error| failed("drop a change of a room", &error))?;
    Ok(commits::remove(tx.db()?, id).await?)
}

/// Something of a room did not work.
pub(crate) fn failed(doing: &str, why: &dyn fmt::Display) -> ClientError {
    ClientError::Room { doing: doing.to_owned(), why: why.to_string() }
}
