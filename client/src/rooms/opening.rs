//! Items of a room that this device is in: opening messages, and what waited for a later epoch.

use posthouse_crypto::room::RoomError;
use posthouse_crypto::room::member::Opened;
use posthouse_crypto::sha256;
use posthouse_spec::AccountId;
use posthouse_spec::client::Delivery;
use posthouse_spec::client::delivery::MessageDelivery;

use super::intake::{Intake, Taken};
use super::{content, decided};
use crate::error::ClientError;
use crate::model::{MessageState, RoomState};
use crate::vault::messages::{self, Incoming};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::unattributed::{self, Unattributed};
use crate::vault::{held, requests};

/// Items that are read from the queue at a time.
const DRAIN_PAGE: u32 = 64;

/// Takes one item of a room.
pub(crate) async fn take(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    item: &Delivery,
) -> Result<Taken, ClientError> {
    match item {
        Delivery::Message(message) => open(intake, room, message).await,
        Delivery::Decided(delivery) => decided::take(intake, room, delivery).await,
        Delivery::EpochEnd(end) => decided::epoch_end(intake, room, end).await,
        Delivery::Welcome(_) | Delivery::Notice(_) => Ok(Taken::Done),
    }
}

/// Takes what waited for the room, again and again while that moves it to a later epoch.
pub(crate) async fn drain(intake: &mut Intake<'_>, room: &mut RoomRow) -> Result<(), ClientError> {
    loop {
        let (epoch, mut after) = (room.epoch, 0);
        loop {
            let page = held::next(intake.tx.db()?, &room.room, after, DRAIN_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for held in &page {
                if take(intake, room, &held.item).await? == Taken::Done {
                    held::remove(intake.tx.db()?, held.id).await?;
                }
            }
        }
        if room.epoch == epoch {
            return Ok(());
        }
    }
}

/// Takes what waited in the rooms with somebody. One that cannot go on keeps none of the others waiting.
pub(crate) async fn drain_with(intake: &mut Intake<'_>, peer: &AccountId) -> Result<(), ClientError> {
    for mut room in rooms::with_peer(intake.tx.db()?, peer).await? {
        match drain(intake, &mut room).await {
            Err(ClientError::Room { doing, why }) => {
                decided::give_up(intake, &mut room, &format!("could not {doing}: {why}")).await?;
            }
            drained => drained?,
        }
    }
    Ok(())
}

async fn open(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    message: &MessageDelivery,
) -> Result<Taken, ClientError> {
    if matches!(room.state, RoomState::Left | RoomState::Removed) {
        return Ok(Taken::Done);
    }
    if message.epoch > room.epoch || waits_for_other_room(intake, room).await? {
        return Ok(Taken::Later);
    }
    let opened = match intake.tx.room(&room.room) {
        Ok((state, keys)) => state.open(keys, &message.body).map_err(|error| match error {
            RoomError::WrongEpoch { .. } => format!("{error}; its secrets are gone"),
            error => error.to_string(),
        }),
        Err(error) => Err(error.to_string()),
    };
    match opened {
        Ok(opened) => content::take(intake, room, unattributed(room, message, opened)).await?,
        Err(why) => store_unopened(intake, room, message, &why).await?,
    }
    Ok(Taken::Done)
}

/// The message as it is before it is known who sent it.
fn unattributed(room: &RoomRow, message: &MessageDelivery, opened: Opened) -> Unattributed {
    Unattributed {
        room: room.room,
        account: opened.sender.account,
        device: opened.sender.device,
        home: opened.sender.home,
        epoch: opened.epoch,
        received: message.received,
        content: opened.content,
        body_hash: sha256(&message.body),
    }
}

/// Whether another room with the same person is about to be joined. What they wrote there came first: of two rooms that
/// were founded at once, both end up in the lower one.
async fn waits_for_other_room(intake: &mut Intake<'_>, room: &RoomRow) -> Result<bool, ClientError> {
    match &room.peer {
        Some(peer) => Ok(requests::is_joining(intake.tx.db()?, peer).await?),
        None => Ok(false),
    }
}

async fn store_unopened(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    message: &MessageDelivery,
    why: &str,
) -> Result<(), ClientError> {
    let hash = sha256(&message.body);
    // The same bytes again do not open, because their key was used and is gone: nothing is lost by that.
    if messages::was_opened(intake.tx.db()?, &hash).await?
        || unattributed::has(intake.tx.db()?, &hash).await?
    {
        return Ok(());
    }
    let reason = format!("a message from {} could not be opened: {why}", message.origin);
    put_line(intake, room, message, &reason, Some(hash)).await
}

/// Stores a line that stands for what could not be shown.
pub(crate) async fn put_line(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    message: &MessageDelivery,
    reason: &str,
    body_hash: Option<[u8; 32]>,
) -> Result<(), ClientError> {
    let line = Incoming {
        room: &room.room,
        peer: room.peer.as_ref(),
        account: None,
        id: None,
        own: false,
        sent: message.received,
        content: None,
        text: None,
        state: MessageState::Undecryptable,
        reason: Some(reason),
        body_hash,
    };
    let now = intake.now;
    if let Some(local) = messages::insert_incoming(intake.tx.db()?, &line, now).await? {
        intake.tell_message(local).await?;
    }
    Ok(())
}
