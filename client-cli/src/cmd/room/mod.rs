//! `room …`: groups, and rooms for announcements.

mod change;
mod create;
mod leave;
mod profile;
mod settle;
mod show;

use posthouse_client::{PictureChange, ProfileChange, RoomChange};
use posthouse_spec::room::Role;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::request::{Lines, Pace};
use crate::room_request::RoomRequest;

/// Does what is asked of a room.
///
/// # Errors
/// There is no such room, it does not allow it, or what the vault says.
pub(crate) async fn execute(
    desk: &Desk,
    request: RoomRequest,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    let (room, changes) = match request {
        RoomRequest::Create { name, announcement, suite, description, members } => {
            let wanted = create::Wanted { name, announcement, suite, description, members };
            return create::execute(desk, wanted, pace, lines).await;
        }
        RoomRequest::Show { room } => return show::execute(desk, &room, pace, lines).await,
        RoomRequest::Leave { room } => return leave::execute(desk, &room, pace, lines).await,
        RoomRequest::Rename { room, name } => {
            let change = ProfileChange { name: Some(name), ..ProfileChange::default() };
            return profile::execute(desk, &room, change, pace, lines).await;
        }
        RoomRequest::Describe { room, description } => {
            let change = ProfileChange { description: Some(description), ..ProfileChange::default() };
            return profile::execute(desk, &room, change, pace, lines).await;
        }
        RoomRequest::Picture { room, picture } => {
            let picture = picture.map_or(PictureChange::Clear, |picture| PictureChange::Set(picture.0));
            let change = ProfileChange { picture, ..ProfileChange::default() };
            return profile::execute(desk, &room, change, pace, lines).await;
        }
        RoomRequest::Promote { room, member, owner } => {
            let role = if owner { Role::Owner } else { Role::Admin };
            let change = RoomChange::Role { member, role };
            (room, vec![change])
        }
        RoomRequest::Demote { room, member } => (room, vec![RoomChange::Role { member, role: Role::Member }]),
        RoomRequest::Add { room, members } => {
            (room, members.into_iter().map(|alias| RoomChange::Add { alias }).collect())
        }
        RoomRequest::Remove { room, members } => {
            (room, members.into_iter().map(|member| RoomChange::Remove { member }).collect())
        }
        RoomRequest::Ban { room, member } => (room, vec![RoomChange::Ban { member }]),
        RoomRequest::Unban { room, member } => (room, vec![RoomChange::Unban { member }]),
        RoomRequest::Policy { room, write, add, change } => {
            let [write, add, change] = [write, add, change].map(|least| least.map(Role::from));
            (room, vec![RoomChange::Policy { write, add, change }])
        }
        RoomRequest::Transfer { room, member } => (room, vec![RoomChange::Transfer { member }]),
    };
    change::execute(desk, &room, &changes, pace, lines).await
}
