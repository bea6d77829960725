//! What comes in on messages lanes: each item finds its local devices, waits for its room, or is refused by name.

use bytes::Bytes;
use posthouse_relay::lane::{Arrival, Pass, arrive, pass};
use posthouse_relay::rooms::{Placement, Roster, place_end, place_message};
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{EpochEndItem, Item, MessageItem};
use posthouse_spec::limits::{LANE_WINDOW_ITEMS, MAX_ASIDE};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Epoch, LaneSeq};

use super::{Around, Delivery, Fact, InLane, Outcome, Place, Store};
use crate::cast::{DeviceNo, RelayNo, RoomNo, cast, device_no, room_no};
use crate::plan::Mutation;
use crate::wire::{message_no, read_item};

/// An item that waits for its room.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) room: RoomNo,
    pub(crate) origin: RelayNo,
    pub(crate) needs: u64,
    pub(crate) received: u64,
    item: Item,
}

type Refused = Option<(ItemRefusal, String)>;

impl Store {
    pub(super) fn receive(
        &mut self,
        lane: InLane,
        first: u64,
        items: &[Bytes],
        around: &mut Around,
    ) -> Outcome {
        let expected = self.cursor(&lane);
        let Arrival::Run { skip, next } = arrive(LaneSeq(expected), LaneSeq(first), items.len() as u64)
        else {
            return Outcome::Gap { expected };
        };
        let seen = first + skip;
        let known = self.refusals.get(&lane).into_iter().flatten();
        let mut refused: Vec<RefusedItem> =
            known.filter(|item| (first..seen).contains(&item.seq.0)).cloned().collect();
        let mut seq = expected;
        for bytes in items.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)) {
            if let Some((reason, detail)) = self.place(lane.origin, read_item(bytes), true, around) {
                let item = RefusedItem { seq: LaneSeq(seq), reason, detail: Text::clipped(&detail) };
                self.refusals.entry(lane).or_default().push(item.clone());
                refused.push(item);
            }
            seq += 1;
        }
        if let Some(kept) = self.refusals.get_mut(&lane) {
            kept.retain(|item| item.seq.0 >= seq.saturating_sub(LANE_WINDOW_ITEMS));
        }
        self.move_cursor(lane, next.0);
        Outcome::Received { next: next.0, refused }
    }

    fn move_cursor(&mut self, lane: InLane, next: u64) {
        self.cursors.insert(lane, next);
    }

    /// Moves a cursor over one item. False if it has passed that item already.
    pub(super) fn pass(&mut self, place: Option<Place>, _: &mut Around) -> bool {
        let Some(place) = place else { return true };
        if pass(LaneSeq(self.cursor(&place.lane)), LaneSeq(place.seq)) != Pass::First {
            return false;
        }
        self.move_cursor(place.lane, place.seq + 1);
        true
    }

    fn place(&mut self, origin: RelayNo, item: Item, first: bool, around: &mut Around) -> Refused {
        match item {
            Item::Message(item) => self.place_message(origin, item, first, around),
            Item::EpochEnd(item) => self.place_end(origin, item, first, around),
            other => Some((ItemRefusal::Invalid, format!("{:?} on a messages lane", other.class()))),
        }
    }

    fn place_message(
        &mut self,
        origin: RelayNo,
        item: MessageItem,
        first: bool,
        around: &mut Around,
    ) -> Refused {
        let room = room_no(item.room);
        let (current, roster) = self.standing(room, item.epoch.0);
        let own = self.domain();
        match place_message(&cast().domains[origin], own, item.epoch, current, &roster) {
            Placement::Aside(_) if around.is(Mutation::SkipAside) => return None,
            Placement::Aside(needs) => {
                return self.put_aside(origin, room, needs, Item::Message(item), first, around);
            }
            Placement::Refuse(reason, why) => return Some((reason, why.to_owned())),
            Placement::Deliver => {}
        }
        let local: Vec<DeviceNo> = roster.mailboxes(own).iter().map(device_no).collect();
        let (epoch, message) = (item.epoch.0, message_no(item.body.bytes()));
        let mut full = 0;
        for device in &local {
            // Once it was put aside it was accepted, and nothing refuses it for lack of space.
            if !first || self.has_space(*device, room) {
                self.deliver(*device, Delivery::Message { room, origin, epoch, message }, around);
            } else {
                full += 1;
            }
        }
        (full > 0).then(|| (ItemRefusal::Quota, format!("{full} of {} mailboxes are full", local.len())))
    }

    fn place_end(
        &mut self,
        origin: RelayNo,
        item: EpochEndItem,
        first: bool,
        around: &mut Around,
    ) -> Refused {
        let (room, epoch) = (room_no(item.room), item.epoch.0);
        let (current, roster) = self.standing(room, epoch);
        let own = self.domain();
        match place_end(&cast().domains[origin], own, item.epoch, current, &roster) {
            Placement::Aside(_) if around.is(Mutation::SkipAside) => None,
            Placement::Aside(needs) => {
                self.put_aside(origin, room, needs, Item::EpochEnd(item), first, around)
            }
            Placement::Refuse(reason, why) => Some((reason, why.to_owned())),
            Placement::Deliver => {
                for device in roster.mailboxes(own).iter().map(device_no) {
                    self.deliver(device, Delivery::EpochEnd { room, origin, epoch }, around);
                }
                None
            }
        }
    }

    /// Where a room stands, and the roster of an epoch that it has reached.
    fn standing(&self, room: RoomNo, epoch: u64) -> (Option<Epoch>, Roster) {
        let Some(room) = self.rooms.get(&room) else { return (None, Roster::default()) };
        // In a room that everybody here has left, only what came before is known.
        if !room.active && epoch >= room.epoch {
            return (None, Roster::default());
        }
        (
            Some(Epoch(room.epoch)),
            room.rosters.get(&epoch).map(|roster| (**roster).clone()).unwrap_or_default(),
        )
    }

    fn put_aside(
        &mut self,
        origin: RelayNo,
        room: RoomNo,
        needs: Epoch,
        item: Item,
        first: bool,
        around: &mut Around,
    ) -> Refused {
        if !first {
            around.facts.push(Fact::LostForGood { origin, room });
            return Some((ItemRefusal::Invalid, "it waited for an epoch that did not come".into()));
        }
        let waiting = self.aside.iter().filter(|aside| aside.origin == origin && aside.room == room).count();
        if waiting as u64 >= MAX_ASIDE {
            return Some((ItemRefusal::UnknownRoom, format!("{waiting} items of this room wait already")));
        }
        self.aside.push(Aside { room, origin, needs: needs.0, received: around.now, item });
        None
    }

    /// Takes back, in the order in which they came, the items of a room that need no later epoch.
    pub(super) fn release(&mut self, room: RoomNo, epoch: u64, around: &mut Around) {
        let (ready, waiting): (Vec<Aside>, Vec<Aside>) =
            self.aside.drain(..).partition(|aside| aside.room == room && aside.needs <= epoch);
        self.aside = waiting;
        for aside in ready {
            if self.place(aside.origin, aside.item, false, around).is_some() {
                around.facts.push(Fact::LostForGood { origin: aside.origin, room });
            }
        }
    }
}
