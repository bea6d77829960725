//! Which conversation is meant by what somebody typed: an alias has an @; a room goes by its name, its id, or the beginning of
//! that.

use posthouse_client::{ClientError, Conversation, RoomState, RoomSummary};
use posthouse_spec::{Alias, RoomId};

use crate::desk::Desk;
use crate::failure::{Exit, Failure};
use crate::request::{Lines, Pace};

/// Fewest digits of an id that name a room.
const FEWEST_DIGITS: usize = 8;

/// What names nothing is not worth a question to the relay.
///
/// # Errors
/// It is an alias that is none.
pub(crate) fn check(named: &str) -> Result<(), Failure> {
    if named.contains('@') {
        named.parse::<Alias>().map_err(ClientError::from)?;
    }
    Ok(())
}

/// The conversation that is meant.
///
/// # Errors
/// There is no such room, or several; an alias that is none; what the vault says.
pub(crate) async fn conversation(
    desk: &Desk,
    named: &str,
    pace: Pace,
    lines: &Lines,
) -> Result<Conversation, Failure> {
    if named.contains('@') {
        return Ok(named.parse()?);
    }
    Ok(Conversation::Room(room(desk, named, pace, lines).await?.room))
}

/// The room that is meant.
///
/// # Errors
/// There is none, or several, or what the vault says.
pub(crate) async fn room(
    desk: &Desk,
    named: &str,
    pace: Pace,
    lines: &Lines,
) -> Result<RoomSummary, Failure> {
    match find(desk.client().rooms().await?, named) {
        // It may have come meanwhile.
        Err(failure) if failure.exit == Exit::NotFound && !pace.offline => {
            desk.refresh(pace, lines).await?;
            find(desk.client().rooms().await?, named)
        }
        found => found,
    }
}

fn find(rooms: Vec<RoomSummary>, named: &str) -> Result<RoomSummary, Failure> {
    let id: Option<RoomId> = named.to_ascii_lowercase().parse().ok();
    let called = |room: &RoomSummary| room.name.clone().unwrap_or_default();
    let exactly = |room: &RoomSummary| !named.is_empty() && called(room) == named;
    let nearly =
        |room: &RoomSummary| !named.is_empty() && called(room).to_lowercase() == named.to_lowercase();
    let exact = rooms.iter().any(exactly);
    let meant = |room: &RoomSummary| match id {
        Some(id) => room.room == id,
        None => begins(&room.room, named) || exactly(room) || (!exact && nearly(room)),
    };
    let mut found: Vec<RoomSummary> = rooms.into_iter().filter(meant).collect();
    if found.len() > 1 && found.iter().any(is_in_use) {
        found.retain(is_in_use);
    }
    match (found.pop(), found.is_empty()) {
        (Some(room), true) => Ok(room),
        (Some(room), false) => {
            found.push(room);
            let list: Vec<String> =
                found.iter().map(|room| format!("{} ({})", room.room, label(room))).collect();
            let message =
                format!("several rooms are meant by `{named}`: name one by its id: {}", list.join(", "));
            Err(Failure::usage("ambiguous-room", message))
        }
        (None, _) => {
            let message = format!(
                "there is no room `{named}` in this vault: see `rooms`; a person is named by an alias, such as bob@b.example"
            );
            Err(Failure::new(Exit::NotFound, "unknown-room", message))
        }
    }
}

fn begins(room: &RoomId, named: &str) -> bool {
    named.len() >= FEWEST_DIGITS && room.to_string().starts_with(&named.to_ascii_lowercase())
}

fn is_in_use(room: &RoomSummary) -> bool {
    matches!(room.state, RoomState::Founding | RoomState::Active)
}

/// How a room is called.
fn label(room: &RoomSummary) -> String {
    let named = room.name.clone().filter(|name| !name.is_empty());
    let with = room.peer.as_ref().and_then(|peer| peer.alias.as_ref()).map(ToString::to_string);
    named.or(with).unwrap_or_else(|| "without a name".to_owned())
}

#[cfg(test)]
mod tests {
    use posthouse_spec::Epoch;
    use posthouse_spec::room::{RoomKind, Suite};

    use super::*;

    fn called(first: u8, name: &str, state: RoomState) -> RoomSummary {
        let mut id = [0xab; 32];
        id[0] = first;
        RoomSummary {
            room: RoomId::new(id),
            kind: RoomKind::Group,
            state,
            peer: None,
            name: Some(name.to_owned()),
            members: 2,
            epoch: Epoch(1),
            suite: Suite::PostQuantum,
            hub: "a.example".parse().unwrap(),
            unread: 0,
            last: None,
            reason: None,
            retention_days: None,
        }
    }

    fn rooms() -> Vec<RoomSummary> {
        vec![
            called(1, "Garden", RoomState::Active),
            called(2, "Choir", RoomState::Active),
            called(3, "choir", RoomState::Active),
            called(4, "Old", RoomState::Left),
            called(5, "Old", RoomState::Active),
            called(6, "", RoomState::Active),
        ]
    }

    fn first(named: &str) -> Result<u8, String> {
        find(rooms(), named).map(|room| room.room.as_bytes()[0]).map_err(|failure| failure.code)
    }

    #[test]
    fn a_room_goes_by_name_by_id_and_by_its_beginning() {
        let id = called(1, "", RoomState::Active).room.to_string();
        for named in ["Garden", "garden", &id, &id[..8], &id[..9].to_uppercase()] {
            assert_eq!(first(named), Ok(1), "{named}");
        }
        assert_eq!(first("Choir"), Ok(2));
        assert_eq!(first("choir"), Ok(3));
    }

    #[test]
    fn what_fits_none_or_several_is_an_error_with_the_candidates() {
        let id = called(1, "", RoomState::Active).room.to_string();
        for named in [&id[..7], "", "Orchard"] {
            assert_eq!(first(named), Err("unknown-room".to_owned()), "{named}");
        }
        let several = find(rooms(), "CHOIR").unwrap_err();
        assert_eq!(several.code, "ambiguous-room");
        for room in &rooms()[1..3] {
            assert!(several.message.contains(&room.room.to_string()), "{}", several.message);
        }
    }

    #[test]
    fn of_rooms_of_one_name_the_one_in_use_is_meant() {
        assert_eq!(first("Old"), Ok(5));
    }
}
