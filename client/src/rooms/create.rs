//! Making a room of many. It is made here at once, without a network; its hub gets it with the next sync, and its members
//! after that.

use posthouse_crypto::lineage;
use posthouse_crypto::room::member::Room;
use posthouse_spec::room::{RelayRef, RoomContext, RoomKind};
use posthouse_spec::{ManifestSeq, RoomId};

use super::commit::failed;
use super::identity::leaf_identity;
use super::intake::Intake;
use super::{aftermath, info};
use crate::change::RoomChange;
use crate::error::ClientError;
use crate::group::NewRoom;
use crate::model::RoomState;
use crate::room_error::RoomFault;
use crate::trust;
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{changes, publications};

/// Makes the room, and notes who is to come into it; returns it with the places of those changes.
///
/// # Errors
/// The name is too long, or the kind is none of many.
pub(crate) async fn create(
    intake: &mut Intake<'_>,
    wanted: &NewRoom,
) -> Result<(RoomId, Vec<u64>), ClientError> {
    if !matches!(wanted.kind, RoomKind::Group | RoomKind::Announcement) {
        return Err(RoomFault::NotAGroup(wanted.kind).into());
    }
    info::check(&wanted.name, &wanted.description, None)?;
    let (owner, now) = (intake.owner, intake.now);
    let domain = &owner.alias.domain;
    let hub = trust::pinned_relay(intake.tx.db()?, domain).await?;
    let hub = hub.ok_or_else(|| {
        failed("found a room", &format!("the manifest of {domain} is not here: sync first"))
    })?;
    let hub = RelayRef { domain: hub.domain.clone(), lineage: lineage(&hub) };
    let context = RoomContext::group(wanted.kind, hub.clone(), owner.account.id());
    let id = RoomId::new(rand::random());
    let (room, group_info) = Room::found(
        intake.tx.keys(),
        &leaf_identity(owner),
        id,
        wanted.suite,
        &context,
        &mut rand::rng(),
        now,
    )
    .map_err(|error| failed("found a room", &error))?;
    let row = RoomRow {
        room: id,
        kind: wanted.kind,
        suite: wanted.suite,
        state: RoomState::Founding,
        peer: None,
        hub: hub.domain,
        epoch: room.epoch(),
        first_epoch: room.epoch(),
        manifest: ManifestSeq(0),
        reason: None,
    };
    intake.tx.put_room(room);
    rooms::insert(intake.tx.db()?, &row, now).await?;
    publications::insert(intake.tx.db()?, &id, &group_info).await?;
    aftermath::record(intake, &id).await?;
    info::change(intake, &id, &wanted.name, &wanted.description, None, false).await?;
    let mut invited = Vec::new();
    for alias in &wanted.members {
        let change = RoomChange::Add { alias: alias.clone() };
        invited.push(changes::insert(intake.tx.db()?, &id, &change, None, now).await?);
    }
    Ok((id, invited))
}
