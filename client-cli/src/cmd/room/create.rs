//! `room create`: a new room, with those who are to come into it.

use posthouse_client::{ClientError, NewRoom};
use posthouse_spec::Alias;
use posthouse_spec::room::RoomKind;

use super::settle::{self, Watch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::{Line, RoomCreated};
use crate::rank::Seal;
use crate::request::{Lines, Pace};

/// What the room is to be.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) announcement: bool,
    pub(super) suite: Seal,
    pub(super) description: String,
    pub(super) members: Vec<Alias>,
}

pub(super) async fn execute(desk: &Desk, wanted: Wanted, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    let Wanted { name, announcement, suite, description, members } = wanted;
    if name.trim().is_empty() {
        return Err(Failure::usage("empty-name", "a room needs a name by which people find it: write one"));
    }
    let kind = if announcement { RoomKind::Announcement } else { RoomKind::Group };
    let wanted = NewRoom { kind, name: name.clone(), description, members, suite: suite.into() };
    let watch = Watch::begin(desk);
    let created = match desk.client().create_room(&wanted).await {
        // Before the first sync it is not known here who the own relay is.
        Err(ClientError::Room { .. }) => {
            desk.refresh(pace, lines).await?;
            desk.client().create_room(&wanted).await?
        }
        created => created?,
    };
    let alone = created.changes.is_empty();
    let changes = settle::settle(watch, created.changes, pace, lines).await?;
    if alone {
        settle::carry(desk, pace, lines).await?;
    }
    let line = RoomCreated { room: created.room, name, announcement, changes };
    lines.line(Line::RoomCreated(line)).await
}
