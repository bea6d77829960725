//! Leaving: a member says so with a signed word, and any other member's client makes the commit that lets them go.
//!
//! Who is first to do it does not matter. So each waits a while of its own, those who manage the room a shorter one, and does
//! nothing where somebody else was faster.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::content::MimiContent;
use posthouse_spec::room::{LeaveClaim, Role};
use posthouse_spec::{AccountId, Signed};

use super::intake::Intake;
use super::over;
use crate::error::ClientError;
use crate::model::RoomState;
use crate::vault::leavings::{self, Leaving};
use crate::vault::rooms::RoomRow;
use crate::vault::{lines, members, outbox};

/// The longest wait of those who manage the room, milliseconds.
const MANAGERS_WAIT_MS: u64 = 1_000;
/// The shortest wait of all others, milliseconds, and as much again by chance.
const OTHERS_WAIT_MS: u64 = 3_000;

/// Why nothing goes on in a room that was left.
pub(crate) const LEFT: &str = "you left the room";

/// Takes somebody's word that they leave.
pub(crate) async fn take(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    sender: &AccountId,
    claim: Signed<LeaveClaim>,
) -> Result<(), ClientError> {
    let (state, _) = intake.tx.room(&room.room)?;
    let goes = match claim.peek() {
        Ok(claimed) if claimed.account != *sender => Err("it is not of who sent it".to_owned()),
        _ => state.check_leave(&claim).map_err(|error| error.to_string()),
    };
    match goes {
        Ok(leaves) if leaves.is_empty() => {
            tracing::info!(room = %room.room, "a word of leaving came that lets nobody go");
            Ok(())
        }
        // Another device of this account said it for all of them.
        Ok(_) if *sender == intake.owner.account.id() => {
            over::close(intake, room, RoomState::Left, LEFT).await
        }
        Ok(_) => {
            let own = intake.owner.account.id();
            let role = members::find(intake.tx.db()?, &room.room, &own).await?.map(|member| member.role);
            let due = intake.now.after(wait(role.unwrap_or(Role::Member), rand::random()));
            let leaving = Leaving { account: *sender, claim, due };
            leavings::put(intake.tx.db()?, &room.room, &leaving).await?;
            intake.work = true;
            Ok(())
        }
        Err(why) => {
            let detail = format!("somebody's word that they leave does not hold; it was dropped: {why}");
            intake.notice("bad-leave", detail, Some(room.room));
            Ok(())
        }
    }
}

fn wait(role: Role, chance: u16) -> u64 {
    let chance = u64::from(chance);
    match role {
        Role::Owner | Role::Admin => MANAGERS_WAIT_MS * chance / u64::from(u16::MAX),
        Role::Member => OTHERS_WAIT_MS + OTHERS_WAIT_MS * chance / u64::from(u16::MAX),
    }
}

/// Says that this account leaves, as the room stands now.
pub(crate) async fn say(intake: &mut Intake<'_>, room: &RoomRow) -> Result<(), ClientError> {
    let owner = intake.owner;
    let (state, _) = intake.tx.room(&room.room)?;
    let claim = state.leave_claim(&owner.device).map_err(|error| ClientError::Room {
        doing: format!("leave room {}", room.room),
        why: error.to_string(),
    })?;
    let content = MimiContent::leave(rand::random(), &claim).to_cbor();
    let (own, now) = (owner.account.id(), intake.now);
    let local = lines::insert_control(intake.tx.db()?, &room.room, &own, &content, now).await?;
    Ok(outbox::intend_for_room(intake.tx.db()?, local).await?)
}

/// Says it again where the room has moved on and this device is still in it, unless the word is still on its way.
pub(crate) async fn say_again(intake: &mut Intake<'_>, room: &RoomRow) -> Result<(), ClientError> {
    if outbox::waits_in(intake.tx.db()?, &room.room).await? {
        return Ok(());
    }
    say(intake, room).await
}
