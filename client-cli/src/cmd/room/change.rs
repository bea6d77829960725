//! `room add`, `remove`, `promote` and the like: wishes that are decided by the room's hub.

use posthouse_client::{ChangeState, ChangeStatus, Client, RoomChange, Who};
use posthouse_spec::RoomId;
use posthouse_spec::room::Role;

use super::settle::{self, Watch};
use crate::anew::look_again;
use crate::desk::Desk;
use crate::failure::{Exit, Failure};
use crate::line::Line;
use crate::request::{Lines, Pace};
use crate::which;

pub(super) async fn execute(
    desk: &Desk,
    room: &str,
    changes: &[RoomChange],
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    let room = which::room(desk, room, pace, lines).await?.room;
    let watch = Watch::begin(desk);
    let (mut noted, mut broken) = (Vec::new(), None);
    for change in changes {
        match wish(desk, &room, change, pace, lines).await {
            Ok(status) => noted.push(status),
            Err(failure) => {
                broken = Some(failure);
                break;
            }
        }
    }
    let told = settle::settle(watch, noted, pace, lines).await?;
    for status in &told {
        lines.line(Line::Change(status.clone())).await?;
    }
    broken.map_or_else(|| judge(&told), Err)
}

/// Notes one wish.
async fn wish(
    desk: &Desk,
    room: &RoomId,
    change: &RoomChange,
    pace: Pace,
    lines: &Lines,
) -> Result<ChangeStatus, Failure> {
    check(desk.client(), room, change).await?;
    match desk.client().change_room(room, change).await {
        Err(error) => {
            look_again(desk, error, pace, lines).await?;
            Ok(desk.client().change_room(room, change).await?)
        }
        Ok(status) => Ok(status),
    }
}

/// A promotion takes no role away.
async fn check(client: &Client, room: &RoomId, change: &RoomChange) -> Result<(), Failure> {
    let RoomChange::Role { member, role } = change else { return Ok(()) };
    let is = |alias: &Option<_>, account: &_| match member {
        Who::Alias(named) => alias.as_ref() == Some(named),
        Who::Account(named) => account == named,
    };
    let members = client.members(room).await?;
    match members.iter().find(|listed| is(&listed.alias, &listed.account)) {
        Some(listed) if *role != Role::Member && listed.role > *role => {
            let message = format!(
                "{member} is {} of the room, which is more: `room demote` takes that away",
                listed.role
            );
            Err(Failure::usage("has-more", message))
        }
        _ => Ok(()),
    }
}

/// What was refused is a failure; what is kept is none.
fn judge(told: &[ChangeStatus]) -> Result<(), Failure> {
    let Some(refused) = told.iter().find(|status| status.state == ChangeState::Refused) else {
        return Ok(());
    };
    let why = refused.reason.as_deref().unwrap_or("the room does not allow it");
    let message = format!("could not {}: {why}", refused.change);
    Err(Failure::new(Exit::Refused, "change-refused", message))
}
