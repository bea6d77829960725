//! A room that is over here: what waited for it fails, and says why.

use super::intake::Intake;
use crate::change::ChangeState;
use crate::error::ClientError;
use crate::event::Event;
use crate::model::{MessageState, RoomState};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{changes, commits, leavings, members, messages, outbox, publications};

/// Ends a room here. Its history stays.
pub(crate) async fn close(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    state: RoomState,
    reason: &str,
) -> Result<(), ClientError> {
    let id = room.room;
    rooms::set_state(intake.tx.db()?, &id, state, Some(reason)).await?;
    room.state = state;
    commits::remove(intake.tx.db()?, &id).await?;
    leavings::clear(intake.tx.db()?, &id).await?;
    publications::remove(intake.tx.db()?, &id).await?;
    if room.is_over() {
        let own = intake.owner.account.id();
        members::remove(intake.tx.db()?, &id, &own).await?;
    }
    for wanted in [ChangeState::Waiting, ChangeState::Deciding] {
        for mut change in changes::in_state(intake.tx.db()?, &id, wanted).await? {
            changes::set_state(intake.tx.db()?, change.id, ChangeState::Refused, Some(reason)).await?;
            (change.state, change.reason) = (ChangeState::Refused, Some(reason.to_owned()));
            intake.tell(Event::Change(change.shown()));
        }
    }
    for local in outbox::intents_of_room(intake.tx.db()?, &id).await? {
        outbox::forget_intent(intake.tx.db()?, local).await?;
        messages::set_state(intake.tx.db()?, local, MessageState::Failed, Some(reason)).await?;
        if outbox::is_shown(intake.tx.db()?, local).await? {
            let code = "room-over".to_owned();
            intake.tell(Event::Failed { local, code, reason: reason.to_owned() });
        }
    }
    Ok(())
}
