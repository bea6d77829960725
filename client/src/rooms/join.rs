//! Joining a room by an invitation that was accepted.

use posthouse_crypto::room::member::Room;
use posthouse_crypto::{Account, Verified};
use posthouse_spec::AccountId;
use posthouse_spec::client::delivery::WelcomeDelivery;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{Decision, RoomKind};

use super::aftermath;
use super::decided::{is_hub, tell_changed};
use super::intake::Intake;
use super::news;
use super::opening::{drain, drain_with};
use crate::error::ClientError;
use crate::group::RoomNews;
use crate::model::{MessageState, RoomState};
use crate::vault::messages::{self, Incoming};
use crate::vault::requests::{self, RequestRow};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{commits, contacts, foundings};

/// Joins by a decision of the hub's that was checked, makes who asked a contact, and opens what waited.
///
/// # Errors
/// [`ClientError::Room`] where the invitation will never hold; the transaction must be dropped then.
pub(crate) async fn join(
    intake: &mut Intake<'_>,
    request: &RequestRow,
    welcome: &WelcomeDelivery,
    inviter: &Account,
    hub: &Verified<Manifest>,
    decision: &Decision,
) -> Result<(), ClientError> {
    let unfit = |why: String| ClientError::Room {
        doing: format!("join the room to which {} invited", request.alias),
        why,
    };
    let state = Room::join(intake.tx.keys(), &welcome.welcome, &welcome.group_info)
        .map_err(|error| unfit(error.to_string()))?;
    check(&state, request, welcome, hub, decision).map_err(unfit)?;
    check_leaves(&state, &intake.owner.account, inviter).map_err(unfit)?;
    let mut room = RoomRow {
        room: state.id(),
        kind: state.context().kind,
        suite: state.suite(),
        state: RoomState::Active,
        peer: (state.context().kind == RoomKind::Direct).then_some(request.account),
        hub: hub.domain.clone(),
        epoch: state.epoch(),
        first_epoch: state.epoch(),
        manifest: decision.manifest,
        reason: None,
    };
    intake.tx.put_room(state);
    let now = intake.now;
    rooms::insert(intake.tx.db()?, &room, now).await?;
    contacts::consent(intake.tx.db()?, &request.account).await?;
    requests::remove(intake.tx.db()?, &request.room).await?;
    aftermath::record(intake, &room.room).await?;
    if room.kind == RoomKind::Direct {
        abandon_unborn(intake, &request.account).await?;
    } else {
        let (by, own) = (request.account, intake.owner.account.id());
        let told = RoomNews::Added { by: Some(by), accounts: vec![own] };
        news::put(intake, &room.room, Some(by), &told).await?;
    }
    drain(intake, &mut room).await?;
    drain_with(intake, &request.account).await?;
    if request.dropped > 0 {
        tell_dropped(intake, &room, request).await?;
    }
    tell_changed(intake, &room).await
}

/// The room is the one to which they invited, and its hub has decided on that.
fn check(
    state: &Room,
    request: &RequestRow,
    welcome: &WelcomeDelivery,
    hub: &Verified<Manifest>,
    decision: &Decision,
) -> Result<(), String> {
    if state.id() != welcome.room {
        return Err("the invitation is for another room than it says".to_owned());
    }
    match state.context().kind {
        RoomKind::Own => return Err("a room of one's own devices is not joined by an invitation".to_owned()),
        kind if kind != request.kind => {
            return Err(format!("the invitation was to a room of kind {}, and this is {kind}", request.kind));
        }
        _ => {}
    }
    if !is_hub(hub, &state.context().ordering.leader) {
        return Err(format!("the room is ordered by another relay than {}", hub.domain));
    }
    if decision.room != welcome.room || decision.epoch.next() != state.epoch() {
        return Err("the hub's decision is not the one that led to this invitation".to_owned());
    }
    Ok(())
}

/// Who invites is in the room and may, and their devices and those of this account are on their accounts' lists. Who the
/// others are is found out when they are heard.
fn check_leaves(state: &Room, own: &Account, inviter: &Account) -> Result<(), String> {
    let (context, members) = (state.context(), state.members());
    for leaf in &members {
        let member = &leaf.member;
        let (owner, whose) = match member.account {
            account if account == inviter.id() => (inviter, "who invites"),
            account if account == own.id() => (own, "this account, whose name it bears"),
            _ if context.kind == RoomKind::Direct => {
                return Err("somebody else is in the room, too".to_owned());
            }
            _ => continue,
        };
        if !owner.held(&member.device, leaf.claim.seq, &leaf.claim.head) {
            return Err(format!("a device in the room does not belong to {whose}"));
        }
    }
    if !members.iter().any(|leaf| leaf.member.account == inviter.id()) {
        return Err("who invites is not in the room".to_owned());
    }
    if context.role(&inviter.id()) < context.policy.add {
        return Err("who invites may not add anybody to the room".to_owned());
    }
    Ok(())
}

/// A room of our own to which they were not invited yet is not needed any more.
async fn abandon_unborn(intake: &mut Intake<'_>, peer: &AccountId) -> Result<(), ClientError> {
    let Some(founding) = foundings::find(intake.tx.db()?, peer).await? else { return Ok(()) };
    if let Some((room, _)) = founding.room {
        if commits::of_room(intake.tx.db()?, &room).await?.is_some() {
            // The hub may have decided on it already: it is asked again, and there are two rooms then.
            return Ok(());
        }
        intake.tx.delete_room(&room)?;
        rooms::remove(intake.tx.db()?, &room).await?;
    }
    foundings::remove(intake.tx.db()?, peer).await?;
    Ok(())
}

async fn tell_dropped(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    request: &RequestRow,
) -> Result<(), ClientError> {
    let reason = format!(
        "{} more messages came before the request was accepted than this device keeps; ask for them again",
        request.dropped
    );
    let line = Incoming {
        room: &room.room,
        peer: room.peer.as_ref(),
        account: None,
        id: None,
        own: false,
        sent: intake.now,
        content: None,
        text: None,
        state: MessageState::Undecryptable,
        reason: Some(&reason),
        body_hash: None,
    };
    let now = intake.now;
    if let Some(local) = messages::insert_incoming(intake.tx.db()?, &line, now).await? {
        intake.tell_message(local).await?;
    }
    Ok(())
}
