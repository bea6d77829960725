//! Commits with their decisions: the only way by which a room moves to its next epoch.

use posthouse_crypto::{Verified, lineage};
use posthouse_spec::client::delivery::{DecidedDelivery, EpochEndDelivery};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{Decided, Decision, RelayRef};
use posthouse_spec::{Domain, Epoch};

use super::aftermath::{self, Before};
use super::intake::{Intake, Taken};
use super::over;
use crate::chain::{self, Word};
use crate::error::ClientError;
use crate::event::Event;
use crate::model::RoomState;
use crate::trust;
use crate::vault::rooms::RoomRow;
use crate::vault::{claims, commits, contacts, epochs, foundings, room_infos, rooms};

/// What a decision looks like before anything is done with it.
enum Checked {
    /// It is the hub's word for the room's epoch.
    Good,
    /// The hub's manifest is not here, or not new enough.
    NeedsManifest,
    /// It will never hold.
    Bad(String),
}

/// Takes a commit with its decision.
pub(crate) async fn take(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    delivery: &DecidedDelivery,
) -> Result<Taken, ClientError> {
    let Ok(decision) = delivery.decided.decision.peek() else {
        let detail = "a decision came that is malformed; it was dropped".to_owned();
        intake.notice("bad-decision", detail, Some(room.room));
        return Ok(Taken::Done);
    };
    if decision.epoch > room.epoch {
        return Ok(Taken::Later);
    }
    if decision.epoch == room.epoch {
        match check(intake, room, &delivery.decided, &decision).await? {
            Checked::Good => apply(intake, room, &delivery.decided, &decision).await?,
            Checked::NeedsManifest => {
                intake.work = true;
                return Ok(Taken::Later);
            }
            Checked::Bad(why) => {
                let detail =
                    format!("a decision came that the room's hub did not make; it was dropped: {why}");
                intake.notice("bad-decision", detail, Some(room.room));
                return Ok(Taken::Done);
            }
        }
    }
    expect_ends(intake, room, decision.epoch, &delivery.relays).await?;
    Ok(Taken::Done)
}

/// Whether a manifest is that of the relay that a room names.
pub(crate) fn is_hub(manifest: &Verified<Manifest>, hub: &RelayRef) -> bool {
    manifest.domain == hub.domain && lineage(manifest) == hub.lineage
}

async fn check(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    decided: &Decided,
    decision: &Decision,
) -> Result<Checked, ClientError> {
    let Some(manifest) = trust::pinned_relay(intake.tx.db()?, &room.hub).await? else {
        return Ok(Checked::NeedsManifest);
    };
    let (state, _) = intake.tx.room(&room.room)?;
    if !is_hub(&manifest, &state.context().ordering.leader) {
        return Ok(Checked::Bad(format!("{} is no longer the relay that the room named", room.hub)));
    }
    // Once a room has seen its hub's new key, the old one moves nothing there.
    if decision.manifest < room.manifest && decision.epoch >= room.epoch {
        let why =
            format!("it names manifest {}, and the one before it named {}", decision.manifest, room.manifest);
        return Ok(Checked::Bad(why));
    }
    Ok(match chain::check_decision(intake.tx.db()?, &manifest, decided).await? {
        Word::Holds(decision) if decision.room == room.room => Checked::Good,
        Word::Holds(_) => Checked::Bad("it is for another room".to_owned()),
        Word::NeedsManifest => Checked::NeedsManifest,
        Word::Bad(why) => Checked::Bad(why),
    })
}

/// Moves the room on. The decision was checked.
async fn apply(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    decided: &Decided,
    decision: &Decision,
) -> Result<(), ClientError> {
    let own = commits::of_room(intake.tx.db()?, &room.room).await?;
    let is_own = own.as_ref().is_some_and(|own| own.hash == decision.commit);
    let (state, keys) = intake.tx.room(&room.room)?;
    let before = Before::of(state, own.is_some());
    let applied = if is_own { state.merge_own(keys) } else { state.apply(keys, &decided.commit) };
    let epoch = state.epoch();
    let change = match applied {
        Ok(change) => change,
        Err(error) => {
            let why = format!("this device cannot follow the room into its next epoch: {error}");
            return give_up(intake, room, &why).await;
        }
    };
    if own.is_some() {
        commits::remove(intake.tx.db()?, &room.room).await?;
    }
    rooms::set_epoch(intake.tx.db()?, &room.room, epoch, decision.manifest).await?;
    (room.epoch, room.manifest) = (epoch, decision.manifest);
    if is_own && room.state == RoomState::Founding {
        rooms::set_state(intake.tx.db()?, &room.room, RoomState::Active, None).await?;
        room.state = RoomState::Active;
        if let Some(peer) = &room.peer {
            foundings::remove(intake.tx.db()?, peer).await?;
            claims::remove(intake.tx.db()?, None, peer).await?;
        }
    }
    aftermath::settle(intake, room, before, &change, is_own).await?;
    tell_changed(intake, room).await
}

/// The room cannot go on here.
pub(crate) async fn give_up(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    why: &str,
) -> Result<(), ClientError> {
    if room.peer.is_some() {
        // What waits for it goes to the next direct room with them.
        rooms::set_state(intake.tx.db()?, &room.room, RoomState::Broken, Some(why)).await?;
        room.state = RoomState::Broken;
    } else {
        over::close(intake, room, RoomState::Broken, why).await?;
    }
    intake.notice("room-broken", why.to_owned(), Some(room.room));
    Ok(())
}

/// Tells that a room was founded or joined, or moved on.
pub(crate) async fn tell_changed(intake: &mut Intake<'_>, room: &RoomRow) -> Result<(), ClientError> {
    let peer = match &room.peer {
        Some(peer) => contacts::glance(intake.tx.db()?, peer).await?.0,
        None => None,
    };
    let name = room_infos::find(intake.tx.db()?, &room.room).await?.map(|info| info.name);
    intake.tell(Event::RoomChanged { room: room.room, peer, name });
    Ok(())
}

/// An own commit was decided, says the hub itself. Checked like any other; it waits where the hub's manifest is too old.
pub(crate) async fn take_own(
    intake: &mut Intake<'_>,
    room: &mut RoomRow,
    decided: &Decided,
) -> Result<Taken, ClientError> {
    let decision = decided.decision.peek().map_err(|fault| unfit(room, &fault.to_string()))?;
    if decision.epoch < room.epoch {
        return Ok(Taken::Done);
    }
    match check(intake, room, decided, &decision).await? {
        Checked::Good if decision.epoch == room.epoch => {
            apply(intake, room, decided, &decision).await.map(|()| Taken::Done)
        }
        Checked::Good => Err(unfit(room, "it is for an epoch that the room has not reached")),
        Checked::NeedsManifest => Ok(Taken::Later),
        Checked::Bad(why) => Err(unfit(room, &why)),
    }
}

fn unfit(room: &RoomRow, why: &str) -> ClientError {
    ClientError::Room { doing: format!("take the decision for room {}", room.room), why: why.to_owned() }
}

/// A relay has sent its last message of an epoch.
pub(crate) async fn epoch_end(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    end: &EpochEndDelivery,
) -> Result<Taken, ClientError> {
    if end.epoch >= room.first_epoch {
        epochs::ended(intake.tx.db()?, &room.room, end.epoch, &end.origin).await?;
        settle(intake, room, end.epoch).await?;
    }
    Ok(Taken::Done)
}

async fn expect_ends(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    epoch: Epoch,
    relays: &[Domain],
) -> Result<(), ClientError> {
    if epoch >= room.first_epoch && epoch < room.epoch {
        epochs::expect(intake.tx.db()?, &room.room, epoch, relays).await?;
        settle(intake, room, epoch).await?;
    }
    Ok(())
}

/// Forgets the secrets of a past epoch once no relay sends anything of it.
async fn settle(intake: &mut Intake<'_>, room: &RoomRow, epoch: Epoch) -> Result<(), ClientError> {
    if epoch < room.epoch && epochs::take_if_over(intake.tx.db()?, &room.room, epoch).await? {
        let (state, keys) = intake.tx.room(&room.room)?;
        state.forget_epoch(keys, epoch).map_err(|error| ClientError::Room {
            doing: format!("forget epoch {epoch} of room {}", room.room),
            why: error.to_string(),
        })?;
    }
    Ok(())
}
