//! Somebody who uses our member's side.

use posthouse_crypto::room::RoomError;
use posthouse_crypto::room::member::{Keys, Proposed, Room, Wish, key_package};
use posthouse_spec::policy::Change;
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{AccountId, RoomId};

use crate::person::{Heard, NOW, Person, content, leaf};

/// Somebody with our client's keys.
pub(crate) struct Ours {
    pub(crate) person: Person,
    pub(crate) keys: Keys,
    pub(crate) room: Option<Room>,
}

impl Ours {
    pub(crate) fn new(seed: u64, domain: &str) -> Self {
        Self { person: Person::new(seed, domain), keys: Keys::load(std::iter::empty()), room: None }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.person.account.id()
    }

    /// Founds a room; returns its GroupInfo.
    pub(crate) fn found(&mut self, id: RoomId, context: &RoomContext) -> Vec<u8> {
        let Person { account, device, rng } = &mut self.person;
        let leaf = leaf(account, device);
        let (room, group_info) =
            Room::found(&mut self.keys, &leaf, id, Suite::Classic, context, rng, NOW).unwrap();
        self.room = Some(room);
        group_info
    }

    /// A key package.
    pub(crate) fn key_package(&mut self) -> Vec<u8> {
        let Person { account, device, rng } = &mut self.person;
        let leaf = leaf(account, device);
        key_package(&mut self.keys, &leaf, Suite::Classic, false, rng, NOW).unwrap().bytes
    }

    pub(crate) fn join(&mut self, welcome: &[u8], group_info: &[u8]) {
        self.room = Some(Room::join(&mut self.keys, welcome, group_info).unwrap());
    }

    /// Comes back from a GroupInfo alone; returns the commit of it.
    pub(crate) fn rejoin(&mut self, group_info: &[u8]) -> Proposed {
        let leaf = leaf(&self.person.account, &self.person.device);
        let (room, proposed) = Room::rejoin(&mut self.keys, &leaf, group_info, NOW).unwrap();
        self.room = Some(room);
        proposed
    }

    /// The room, which this person has joined.
    pub(crate) fn room(&self) -> &Room {
        self.room.as_ref().unwrap()
    }

    /// Whether this person is in the room.
    pub(crate) fn is_member(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.own_leaf().is_some())
    }

    pub(crate) fn propose(&mut self, wish: &Wish) -> Result<Proposed, RoomError> {
        self.room.as_mut().unwrap().propose(&mut self.keys, wish)
    }

    /// Takes a decided commit.
    pub(crate) fn take(&mut self, commit: &[u8]) -> Change {
        self.room.as_mut().unwrap().apply(&mut self.keys, commit).unwrap()
    }

    pub(crate) fn say(&mut self, text: &str) -> Vec<u8> {
        self.room.as_mut().unwrap().seal(&mut self.keys, &content(text)).unwrap()
    }

    pub(crate) fn hear(&mut self, body: &[u8]) -> Heard {
        let opened = self.room.as_mut().unwrap().open(&mut self.keys, body).unwrap();
        Heard::new(opened.sender.account, &opened.content)
    }
}
