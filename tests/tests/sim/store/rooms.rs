//! Rooms: founding, taking part, and each step from one epoch to the next, with everything that such a step brings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use posthouse_relay::rooms::Roster;

use super::lanes::Sent;
use super::{Around, Delivery, Fact, Outcome, Place, Store};
use crate::cast::{DeviceNo, RelayNo, RoomNo, cast, device_no, home, relay_no};
use crate::plan::Mutation;
use crate::wire::{Change, Ruling, decided_item, end_item, welcome_item};

#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) hub: RelayNo,
    pub(crate) epoch: u64,
    /// Whether anybody of this relay is in the room, or this relay is its hub.
    pub(crate) active: bool,
    /// Of the epochs in which this relay was there.
    pub(crate) rosters: BTreeMap<u64, Arc<Roster>>,
    /// The decision that ended each epoch.
    pub(crate) log: BTreeMap<u64, Ruling>,
}

impl Room {
    pub(crate) fn current(&self) -> Arc<Roster> {
        self.rosters.get(&self.epoch).cloned().unwrap_or_default()
    }

    /// Whether a relay was in the room in an epoch.
    pub(crate) fn had(&self, relay: RelayNo, epoch: u64) -> bool {
        self.rosters.get(&epoch).is_some_and(|roster| roster.has_relay(&cast().domains[relay]))
    }
}

/// A commit that ends an epoch.
pub(crate) struct Advance<'a> {
    pub(crate) ruling: &'a Ruling,
    pub(crate) invited: &'a [DeviceNo],
    pub(crate) place: Option<Place>,
    /// Whether it is decided here, and told to the others from here.
    pub(crate) hub: bool,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// The room stands elsewhere: somebody else moved it.
    Moved,
    /// The lane's cursor has passed the item already.
    Repeat,
}

fn devices(roster: &Roster, relay: RelayNo) -> Vec<DeviceNo> {
    roster.mailboxes(&cast().domains[relay]).iter().map(device_no).collect()
}

impl Store {
    pub(super) fn found(&mut self, room: RoomNo, founder: DeviceNo, around: &mut Around) -> Outcome {
        let roster: Roster = [cast().devices[founder].clone()].into_iter().collect();
        let rosters = BTreeMap::from([(0, Arc::new(roster))]);
        self.rooms
            .insert(room, Room { hub: self.own, epoch: 0, active: true, rosters, log: BTreeMap::new() });
        self.deliver(founder, Delivery::Welcome { room, epoch: 0 }, around);
        Outcome::Done
    }

    pub(super) fn decide(
        &mut self,
        from: RelayNo,
        no: RoomNo,
        epoch: u64,
        change: &Change,
        around: &mut Around,
    ) -> Outcome {
        let Some(room) = self.rooms.get(&no).filter(|room| room.hub == self.own) else {
            return Outcome::Stale(None);
        };
        let roster = room.current();
        let committer = &cast().devices[change.committer];
        if !roster.has(&committer.mailbox(), &cast().domains[from]) {
            return Outcome::Stale(None);
        }
        if epoch != room.epoch {
            let logged = room.log.get(&epoch).cloned().map(Box::new);
            return match logged {
                Some(ruling) if ruling.change == *change => Outcome::Decided(ruling),
                logged => Outcome::Stale(logged),
            };
        }
        // Devices propose what they know; a commit that does nothing sensible is not decided.
        let entry = |n: &DeviceNo| &cast().devices[*n];
        let absurd = change.adds.iter().any(|n| roster.entry(&entry(n).device).is_some())
            || change.removes.iter().any(|n| roster.entry(&entry(n).device).is_none());
        if absurd {
            return Outcome::Stale(None);
        }
        let ruling = Ruling::sign(self.own, no, epoch, change);
        let advance = Advance { ruling: &ruling, invited: &change.adds, place: None, hub: true };
        self.advance(&advance, around);
        around.facts.push(Fact::Decided { room: no, epoch, change: change.clone() });
        Outcome::Decided(Box::new(ruling))
    }

    pub(super) fn advance(&mut self, advance: &Advance<'_>, around: &mut Around) -> Step {
        let Ruling { room: no, epoch, change, .. } = advance.ruling;
        let Some(room) = self.rooms.get(no).filter(|room| room.active && room.epoch == *epoch) else {
            return Step::Moved;
        };
        let (old, hub) = (room.current(), room.hub);
        if !self.pass(advance.place, around) {
            return Step::Repeat;
        }
        let new = Arc::new(change.apply(&old));
        let stays = new.has_relay(self.domain()) || hub == self.own;
        let Some(room) = self.rooms.get_mut(no) else { return Step::Moved };
        (room.epoch, room.active) = (epoch + 1, stays);
        room.log.insert(*epoch, advance.ruling.clone());
        if stays {
            room.rosters.insert(epoch + 1, Arc::clone(&new));
        }
        self.tell_decided(advance, &old, &new, around);
        self.invite(*no, *epoch + 1, advance.invited, around);
        self.end_epoch(*no, *epoch, hub, &old, around);
        self.release(*no, epoch + 1, around);
        Step::Done
    }

    fn tell_decided(&mut self, advance: &Advance<'_>, old: &Roster, new: &Roster, around: &mut Around) {
        let Ruling { room, epoch, change, .. } = advance.ruling;
        if !around.is(Mutation::DecisionBeforeState) || advance.hub {
            for device in devices(old, self.own) {
                let decided = Delivery::Decided { room: *room, epoch: *epoch, change: change.clone() };
                self.deliver(device, decided, around);
            }
        }
        if !advance.hub {
            return;
        }
        let (own, sent) = (self.domain(), Sent { room: *room, submitter: None, received: around.now });
        let welcomed: BTreeSet<RelayNo> =
            change.adds.iter().map(|device| home(*device)).filter(|relay| *relay != self.own).collect();
        let told = old.other_relays(own).into_iter().chain(new.other_relays(own));
        let told: BTreeSet<RelayNo> = told.map(|relay| relay_no(&relay)).collect();
        let item = decided_item(advance.ruling, own);
        for relay in told.difference(&welcomed) {
            self.send(*relay, &item, sent, around);
        }
        for relay in welcomed {
            let invited: Vec<DeviceNo> =
                change.adds.iter().copied().filter(|device| home(*device) == relay).collect();
            self.send(relay, &welcome_item(advance.ruling, own, &invited, new), sent, around);
        }
    }

    /// The planted bug: devices hear of a decision in a transaction of its own, before the one that applies it.
    pub(super) fn tell_early(&mut self, ruling: &Ruling, around: &mut Around) -> Outcome {
        let standing = self.rooms.get(&ruling.room).filter(|room| room.active && room.epoch == ruling.epoch);
        if let Some(roster) = standing.map(Room::current) {
            for device in devices(&roster, self.own) {
                let (room, epoch, change) = (ruling.room, ruling.epoch, ruling.change.clone());
                self.deliver(device, Delivery::Decided { room, epoch, change }, around);
            }
        }
        Outcome::Done
    }

    fn invite(&mut self, room: RoomNo, epoch: u64, invited: &[DeviceNo], around: &mut Around) {
        let own = self.own;
        for device in invited.iter().filter(|device| home(**device) == own) {
            // A ticket lets one Welcome through: it may come by two ways.
            if !self.welcomed.insert((room, epoch, *device)) {
                continue;
            }
            self.deliver(*device, Delivery::Welcome { room, epoch }, around);
        }
    }

    /// Says that this relay will send nothing more of an epoch: behind its last message, because from this transaction on
    /// it takes none of that epoch.
    fn end_epoch(&mut self, room: RoomNo, epoch: u64, hub: RelayNo, old: &Roster, around: &mut Around) {
        if !old.has_relay(self.domain()) {
            // A hub orders rooms in which nobody of it is.
            return;
        }
        for device in devices(old, self.own) {
            self.deliver(device, Delivery::EpochEnd { room, origin: self.own, epoch }, around);
        }
        let item = end_item(room, &cast().domains[hub], epoch);
        let sent = Sent { room, submitter: None, received: around.now };
        for relay in old.other_relays(self.domain()) {
            self.send(relay_no(&relay), &item, sent, around);
        }
    }

    pub(super) fn adopt(
        &mut self,
        ruling: &Ruling,
        hub: RelayNo,
        invited: &[DeviceNo],
        roster: &[DeviceNo],
        place: Place,
        around: &mut Around,
    ) -> Step {
        if self.rooms.get(&ruling.room).is_some_and(|room| room.active) {
            return Step::Moved;
        }
        if !self.pass(Some(place), around) {
            return Step::Repeat;
        }
        let epoch = ruling.epoch + 1;
        if self.rooms.get(&ruling.room).is_some_and(|room| room.epoch >= epoch) {
            // This relay came there by asking the hub, and everybody here has left since.
            self.invite(ruling.room, epoch, invited, around);
            return Step::Done;
        }
        let roster: Roster = roster.iter().map(|n| cast().devices[*n].clone()).collect();
        let new = || Room { hub, epoch, active: true, rosters: BTreeMap::new(), log: BTreeMap::new() };
        let room = self.rooms.entry(ruling.room).or_insert_with(new);
        (room.hub, room.epoch, room.active) = (hub, epoch, true);
        room.rosters.insert(epoch, Arc::new(roster));
        room.log.insert(ruling.epoch, ruling.clone());
        self.invite(ruling.room, epoch, invited, around);
        self.release(ruling.room, epoch, around);
        Step::Done
    }

    pub(super) fn invited(
        &mut self,
        ruling: &Ruling,
        invited: &[DeviceNo],
        place: Place,
        around: &mut Around,
    ) -> Step {
        if !self.pass(Some(place), around) {
            return Step::Repeat;
        }
        self.invite(ruling.room, ruling.epoch + 1, invited, around);
        Step::Done
    }
}
