//! What was in a seal: who really sent it, and what it is.
//!
//! A leaf only says whose it is. Until the account's chain is here and has the device, what it sent waits, opened, rather
//! than be shown as somebody's.

use posthouse_crypto::message_id;
use posthouse_spec::AccountId;
use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::content::MimiContent;
use posthouse_spec::room::{RoomContext, RoomKind};

use super::intake::Intake;
use super::{info, leaving, news};
use crate::error::ClientError;
use crate::model::{MessageState, RoomState};
use crate::vault::contacts::{self, Standing};
use crate::vault::lines::{self, Control};
use crate::vault::messages::{self, Incoming};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::unattributed::{self, Unattributed};
use crate::vault::{contexts, wanted_chains};

/// Opened messages of one room that wait for a chain, items.
const MAX_UNATTRIBUTED: u64 = 1_000;

/// What is said of a message of a device that its account does not have.
const UNLISTED: &str = "a message of a device that is not on its account's list; who wrote it is not known";

/// Takes an opened message: at once where its sender is known, and else when they are.
pub(crate) async fn take(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    message: Unattributed,
) -> Result<(), ClientError> {
    if is_theirs(intake, &message).await? {
        return store(intake, room, &message).await;
    }
    if message.account == intake.owner.account.id() {
        return refuse(intake, room, &message, UNLISTED).await;
    }
    let (_, standing) = contacts::glance(intake.tx.db()?, &message.account).await?;
    if standing == Standing::Blocked {
        return Ok(());
    }
    if unattributed::count(intake.tx.db()?, &room.room).await? >= MAX_UNATTRIBUTED {
        let reason =
            "too many messages of people wait whose account could not be fetched; ask for this one again";
        return refuse(intake, room, &message, reason).await;
    }
    unattributed::push(intake.tx.db()?, &message).await?;
    wanted_chains::want(intake.tx.db()?, &message.account, &message.home).await?;
    intake.work = true;
    Ok(())
}

/// Takes what waited for an account's chain: it is here now, or cannot be had, and `why` says so.
pub(crate) async fn attribute(
    intake: &mut Intake<'_>,
    account: &AccountId,
    why: Option<&str>,
) -> Result<(), ClientError> {
    news::rename(intake, account).await?;
    for message in unattributed::take(intake.tx.db()?, account).await? {
        let Some(mut room) = rooms::by_id(intake.tx.db()?, &message.room).await? else { continue };
        if is_theirs(intake, &message).await? {
            store(intake, &mut room, &message).await?;
            continue;
        }
        let reason = match why {
            Some(why) => {
                format!("a message of somebody of whom it could not be found out who they are: {why}")
            }
            None => UNLISTED.to_owned(),
        };
        refuse(intake, &room, &message, &reason).await?;
    }
    Ok(())
}

/// Whether the account that a leaf names really has the device that signed for it. A room takes in any leaf that its
/// members add, so its word alone would let one of them write in the name of another.
async fn is_theirs(intake: &mut Intake<'_>, message: &Unattributed) -> Result<bool, ClientError> {
    let own = &intake.owner.account;
    if message.account == own.id() {
        return Ok(own.had(&message.device));
    }
    let contact = contacts::by_account(intake.tx.db()?, &message.account).await?;
    Ok(contact.is_some_and(|contact| contact.account.had(&message.device)))
}

async fn store(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    message: &Unattributed,
) -> Result<(), ClientError> {
    let sender = &message.account;
    let context = contexts::at(intake.tx.db()?, &room.room, message.epoch).await?;
    let content = match MimiContent::from_cbor(&message.content) {
        Ok(content) => content,
        Err(fault) => {
            let reason = format!("the message's content is malformed: {fault}");
            return show(intake, room, message, None, Some(&reason)).await;
        }
    };
    if let Some(context) = &context
        && take_control(intake, room, context, message, &content).await?
    {
        return Ok(());
    }
    let (_, standing) = contacts::glance(intake.tx.db()?, sender).await?;
    if standing == Standing::Blocked || room.state == RoomState::Left {
        return Ok(());
    }
    if let Some(context) = &context
        && room.kind != RoomKind::Direct
        && context.role(sender) < context.policy.write
    {
        let least = context.policy.write;
        let reason = format!("a message of a {}; only {least}s write in this room", context.role(sender));
        return show(intake, room, message, None, Some(&reason)).await;
    }
    match content.as_text() {
        Some(text) => show(intake, room, message, Some(text), None).await,
        None => {
            let reason = "a message of a kind that this version does not show";
            show(intake, room, message, None, Some(reason)).await
        }
    }
}

/// Takes what members' clients say to each other; `false` where it is something for people.
async fn take_control(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    context: &RoomContext,
    message: &Unattributed,
    content: &MimiContent,
) -> Result<bool, ClientError> {
    if room.kind == RoomKind::Direct {
        return Ok(false);
    }
    let (info, leave) = (content.as_room_info(), content.as_leave());
    if info.is_none() && leave.is_none() {
        return Ok(false);
    }
    let id = message_id(&message.account, &room.room, &message.content);
    let control = Control {
        room: &room.room,
        account: &message.account,
        id: &id,
        sent: message.received,
        body_hash: &message.body_hash,
    };
    let now = intake.now;
    if !lines::note_control(intake.tx.db()?, &control, now).await? {
        return Ok(true);
    }
    match (info, leave) {
        (Some(Ok(info)), _) => info::take(intake, &room.room, context, &message.account, id, &info).await?,
        (_, Some(Ok(claim))) => leaving::take(intake, room, &message.account, claim).await?,
        (Some(Err(fault)), _) | (_, Some(Err(fault))) => {
            tracing::info!(room = %room.room, %fault, "malformed content between clients");
        }
        (None, None) => {}
    }
    Ok(true)
}

/// Shows a message, or the line that stands for it with the reason.
async fn show(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    message: &Unattributed,
    text: Option<&str>,
    reason: Option<&str>,
) -> Result<(), ClientError> {
    put(intake, room, message, true, text, reason).await
}

/// Shows a line for a message that counts as nobody's.
async fn refuse(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    message: &Unattributed,
    reason: &str,
) -> Result<(), ClientError> {
    put(intake, room, message, false, None, Some(reason)).await
}

async fn put(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    message: &Unattributed,
    theirs: bool,
    text: Option<&str>,
    reason: Option<&str>,
) -> Result<(), ClientError> {
    let id = message_id(&message.account, &room.room, &message.content);
    let stored = Incoming {
        room: &room.room,
        peer: room.peer.as_ref(),
        account: Some(&message.account),
        id: Some(&id),
        own: theirs && message.account == intake.owner.account.id(),
        sent: message.received,
        content: Some(&message.content),
        text,
        state: MessageState::Received,
        reason,
        body_hash: Some(message.body_hash),
    };
    let now = intake.now;
    // The same id again is a message that its sender sealed twice, because it could not know of the first.
    if let Some(local) = messages::insert_incoming(intake.tx.db()?, &stored, now).await? {
        intake.tell_message(local).await?;
    }
    Ok(())
}
