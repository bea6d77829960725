//! Taking the mailbox in: a run of items, with everything that follows from them and the new cursor, in one transaction.
//! Only after it is durable is anything told or acknowledged.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::client::Delivery;
use posthouse_spec::client::delivery::NoticeDelivery;
use posthouse_spec::client::socket::Push;
use posthouse_spec::{MailboxSeq, RoomId};

use super::emitter::Emitter;
use crate::context::Context;
use crate::error::ClientError;
use crate::event::Event;
use crate::model::{MessageState, RoomState};
use crate::rooms::intake::{Intake, Taken};
use crate::rooms::{decided, opening, welcome};
use crate::vault::requests::{self, Answer, RequestRow};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{messages, owner};

/// Takes a run of pushes in; returns the position up to which the vault holds everything.
pub(super) async fn take_in(
    context: &Context,
    emitter: &Emitter,
    pushes: &[Push],
) -> Result<MailboxSeq, ClientError> {
    let mut intake = Intake::begin(context).await?;
    let mut cursor = owner::positions(intake.tx.db()?).await?.cursor;
    for push in pushes {
        // The relay may push again what it does not know to be here.
        if push.seq <= cursor {
            continue;
        }
        take_one(&mut intake, push).await?;
        cursor = push.seq;
    }
    owner::set_cursor(intake.tx.db()?, cursor).await?;
    let (events, work) = intake.commit().await?;
    if work {
        context.signals.want_work();
    }
    emitter.emit_all(events).await;
    Ok(cursor)
}

async fn take_one(intake: &mut Intake<'_>, push: &Push) -> Result<(), ClientError> {
    let item = match Delivery::from_cbor(&push.item) {
        Ok(item) => item,
        Err(fault) => {
            let detail = format!("the relay delivered something that is malformed; it was dropped: {fault}");
            intake.notice("malformed-delivery", detail, None);
            return Ok(());
        }
    };
    match &item {
        Delivery::Welcome(invitation) => welcome::take(intake, invitation).await,
        Delivery::Notice(notice) => take_notice(intake, notice).await,
        Delivery::Message(message) => route(intake, &message.room, &item).await,
        Delivery::Decided(decided) => route(intake, &decided.room, &item).await,
        Delivery::EpochEnd(end) => route(intake, &end.room, &item).await,
    }
}

/// Takes an item of a room, or keeps it until that is possible.
async fn route(intake: &mut Intake<'_>, id: &RoomId, item: &Delivery) -> Result<(), ClientError> {
    let room = rooms::by_id(intake.tx.db()?, id).await?;
    let request = match &room {
        Some(room) if !room.is_over() => None,
        _ => requests::by_room(intake.tx.db()?, id).await?,
    };
    match (room, request) {
        (_, Some(request)) => for_request(intake, &request, item).await,
        (Some(mut room), None) => into_room(intake, &mut room, item).await,
        // Where nobody invited us, nothing is known of epochs either.
        (None, None) if matches!(item, Delivery::EpochEnd(_)) => Ok(()),
        (None, None) => intake.hold_stray(id, item).await,
    }
}

async fn into_room(intake: &mut Intake<'_>, room: &mut RoomRow, item: &Delivery) -> Result<(), ClientError> {
    let epoch = room.epoch;
    // A room that is broken opens what it still can; it never moves on. Nor does one from which this device was removed.
    let taken = match item {
        Delivery::Decided(_) if matches!(room.state, RoomState::Broken | RoomState::Removed) => Taken::Done,
        item => match opening::take(intake, room, item).await {
            // One room that cannot go on must not keep the whole mailbox waiting.
            Err(ClientError::Room { doing, why }) => {
                decided::give_up(intake, room, &format!("could not {doing}: {why}")).await?;
                Taken::Done
            }
            taken => taken?,
        },
    };
    if taken == Taken::Later
        && !intake.hold(&room.room, item).await?
        && let Delivery::Message(message) = item
    {
        let reason = "too many messages of a later epoch wait already; ask for this one again";
        opening::put_line(intake, room, message, reason, None).await?;
    }
    if room.epoch > epoch {
        opening::drain(intake, room).await?;
    }
    Ok(())
}

async fn for_request(
    intake: &mut Intake<'_>,
    request: &RequestRow,
    item: &Delivery,
) -> Result<(), ClientError> {
    if request.answer == Answer::Blocked {
        return Ok(());
    }
    if !intake.hold(&request.room, item).await? {
        requests::count_dropped(intake.tx.db()?, &request.room).await?;
    }
    Ok(())
}

/// An own message was accepted, and then did not reach everybody.
async fn take_notice(intake: &mut Intake<'_>, notice: &NoticeDelivery) -> Result<(), ClientError> {
    let Some(local) = messages::by_number(intake.tx.db()?, &notice.room, notice.number).await? else {
        let detail = format!("a message was not delivered at {}: {}", notice.relay, notice.detail);
        intake.notice(notice.failure.name(), detail, Some(notice.room));
        return Ok(());
    };
    let reason = format!("not delivered at {} ({}): {}", notice.relay, notice.failure, notice.detail);
    messages::set_state(intake.tx.db()?, local, MessageState::Failed, Some(&reason)).await?;
    intake.tell(Event::Failed { local, code: notice.failure.name().to_owned(), reason });
    Ok(())
}
