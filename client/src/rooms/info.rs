//! A room's name, description and picture. They travel as content, so that no relay sees them; whoever brings people in
//! says them again, so that the newcomers have them.

use posthouse_crypto::message_id;
use posthouse_spec::cbor::{Cbor as _, Octets, Text};
use posthouse_spec::content::{MimiContent, RoomInfo};
use posthouse_spec::limits::{MAX_PICTURE, MAX_ROOM_DESCRIPTION, MAX_ROOM_NAME};
use posthouse_spec::room::{Role, RoomContext};
use posthouse_spec::{AccountId, MessageId, RoomId};

use super::intake::Intake;
use super::news;
use crate::error::{ClientError, VaultError};
use crate::group::RoomNews;
use crate::room_error::RoomFault;
use crate::vault::room_infos::{self, InfoRow};
use crate::vault::{lines, outbox};

/// The version of what is only hearsay: said by somebody who may add people and not change the room, to those who know
/// nothing of it. Whatever an author says wins over it.
const HEARSAY: u64 = 0;

/// What is too long of what a person wants the room to say.
pub(crate) fn check(name: &str, description: &str, picture: Option<&[u8]>) -> Result<(), ClientError> {
    let parts = [
        ("name", name.len(), MAX_ROOM_NAME),
        ("description", description.len(), MAX_ROOM_DESCRIPTION),
        ("picture", picture.map_or(0, <[u8]>::len), MAX_PICTURE),
    ];
    match parts.into_iter().find(|(_, len, limit)| len > limit) {
        Some((what, len, limit)) => Err(RoomFault::InfoTooLong { what, len, limit }.into()),
        None => Ok(()),
    }
}

/// Takes what a member says of the room.
pub(crate) async fn take(
    intake: &mut Intake<'_>,
    room: &RoomId,
    context: &RoomContext,
    sender: &AccountId,
    id: MessageId,
    info: &RoomInfo,
) -> Result<(), ClientError> {
    let before = room_infos::find(intake.tx.db()?, room).await?;
    let role = context.role(sender);
    let version = if role >= context.policy.change {
        info.version.max(HEARSAY + 1)
    } else if before.is_none() && role >= context.policy.add {
        HEARSAY
    } else {
        tracing::info!(%room, "somebody without the right to do it sent a name for the room");
        return Ok(());
    };
    let row = InfoRow {
        version,
        id,
        name: info.name.as_str().to_owned(),
        description: info.description.as_str().to_owned(),
        picture: info.picture.as_ref().map(|picture| picture.to_vec()),
    };
    let wins = before.as_ref().is_none_or(|before| (row.version, row.id) > (before.version, before.id));
    if wins {
        room_infos::put(intake.tx.db()?, room, &row).await?;
        tell(intake, room, before.as_ref(), &row, *sender).await?;
    }
    Ok(())
}

/// Makes the room say something else, for everybody.
pub(crate) async fn change(
    intake: &mut Intake<'_>,
    room: &RoomId,
    name: &str,
    description: &str,
    picture: Option<&[u8]>,
    spread: bool,
) -> Result<(), ClientError> {
    check(name, description, picture)?;
    let before = room_infos::find(intake.tx.db()?, room).await?;
    let info = info(before.as_ref().map_or(0, |before| before.version) + 1, name, description, picture)?;
    let content = MimiContent::room_info(rand::random(), &info).to_cbor();
    let own = intake.owner.account.id();
    let row = InfoRow {
        version: info.version,
        id: message_id(&own, room, &content),
        name: name.to_owned(),
        description: description.to_owned(),
        picture: picture.map(<[u8]>::to_vec),
    };
    room_infos::put(intake.tx.db()?, room, &row).await?;
    if spread {
        queue(intake, room, &content).await?;
    }
    tell(intake, room, before.as_ref(), &row, own).await
}

/// Says again what the room is called, for those who came into it by a commit of this device.
pub(crate) async fn offer(intake: &mut Intake<'_>, room: &RoomId) -> Result<(), ClientError> {
    let Some(row) = room_infos::find(intake.tx.db()?, room).await? else { return Ok(()) };
    let info = info(row.version, &row.name, &row.description, row.picture.as_deref())?;
    let content = MimiContent::room_info(rand::random(), &info).to_cbor();
    queue(intake, room, &content).await
}

async fn queue(intake: &mut Intake<'_>, room: &RoomId, content: &[u8]) -> Result<(), ClientError> {
    let (own, now) = (intake.owner.account.id(), intake.now);
    let local = lines::insert_control(intake.tx.db()?, room, &own, content, now).await?;
    Ok(outbox::intend_for_room(intake.tx.db()?, local).await?)
}

fn info(version: u64, name: &str, description: &str, picture: Option<&[u8]>) -> Result<RoomInfo, VaultError> {
    let fault = |fault| VaultError::Content(format!("what a room says of itself: {fault}"));
    Ok(RoomInfo {
        version,
        name: Text::new(name).map_err(fault)?,
        description: Text::new(description).map_err(fault)?,
        picture: picture.map(|picture| Octets::new(picture.to_vec())).transpose().map_err(fault)?,
    })
}

async fn tell(
    intake: &mut Intake<'_>,
    room: &RoomId,
    before: Option<&InfoRow>,
    now: &InfoRow,
    by: AccountId,
) -> Result<(), ClientError> {
    // Newcomers hear the name from whoever added them, who need not have chosen it.
    let first = before.is_none() && by != intake.owner.account.id();
    let renamed = before.map_or("", |before| before.name.as_str()) != now.name;
    let same = |before: &InfoRow| before.description == now.description && before.picture == now.picture;
    let by = Some(by);
    if renamed && !first {
        let told = RoomNews::Named { by, name: now.name.clone() };
        news::put(intake, room, by, &told).await
    } else if before.is_some_and(|before| !same(before)) {
        news::put(intake, room, by, &RoomNews::Described { by }).await
    } else {
        Ok(())
    }
}

/// Whether a role may change what a room says of itself.
pub(crate) fn may_change(context: &RoomContext, role: Role) -> bool {
    role >= context.policy.change
}
