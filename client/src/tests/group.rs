//! What tests of rooms of many do and look at again and again.

use posthouse_spec::room::{Role, RoomKind, Suite};
use posthouse_spec::{Alias, RoomId};

use super::hub::Hub;
use super::world::Person;
use crate::model::{Conversation, Page, RoomState};
use crate::{ChangeState, NewRoom, RoomChange, Who};

/// Everything that somebody's history of a room says, text by text; `None` where only the reason stands.
pub(super) async fn lines(person: &Person, room: &RoomId) -> Vec<Option<String>> {
    let history = person.client.history(&Conversation::Room(*room), Page::default()).await;
    history.expect("a history").into_iter().map(|message| message.text).collect()
}

pub(super) async fn says(person: &Person, room: &RoomId, line: &str) -> bool {
    lines(person, room).await.iter().any(|text| text.as_deref() == Some(line))
}

pub(super) fn wanted(name: &str, members: &[&Person]) -> NewRoom {
    NewRoom {
        kind: RoomKind::Group,
        name: name.to_owned(),
        description: String::new(),
        members: members.iter().map(|member| member.alias().clone()).collect(),
        suite: Suite::PostQuantum,
    }
}

/// A group of people who know each other, made by the first.
pub(super) async fn group(hub: &Hub, people: &[&Person]) -> RoomId {
    for person in people {
        for other in people {
            person.trusts(other).await;
        }
    }
    let created = people[0].client.create_room(&wanted("Tea", &people[1..])).await.expect("made");
    hub.settle(people).await;
    for person in people {
        person.events();
    }
    created.room
}

pub(super) async fn state(person: &Person, room: &RoomId) -> RoomState {
    let rooms = person.client.rooms().await.expect("rooms");
    rooms.into_iter().find(|listed| listed.room == *room).expect("the room").state
}

pub(super) async fn roles(person: &Person, room: &RoomId) -> Vec<(String, Role)> {
    let members = person.client.members(room).await.expect("members");
    let named = |alias: Option<Alias>| alias.map_or_else(|| "?".to_owned(), |alias| alias.name.to_string());
    let mut roles: Vec<(String, Role)> =
        members.into_iter().map(|member| (named(member.alias), member.role)).collect();
    roles.sort();
    roles
}

pub(super) fn member(person: &Person) -> Who {
    Who::Alias(person.alias().clone())
}

pub(super) async fn change(person: &Person, room: &RoomId, change: RoomChange) -> u64 {
    person.client.change_room(room, &change).await.expect("noted").id
}

pub(super) async fn outcome(person: &Person, room: &RoomId, id: u64) -> (ChangeState, Option<String>) {
    let changes = person.client.changes(room).await.expect("changes");
    let found = changes.into_iter().find(|change| change.id == id).expect("the change");
    (found.state, found.reason)
}
