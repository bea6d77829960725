//! What must hold whatever happens, and the memory of what has happened that it is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use posthouse_relay::rooms::Roster;
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::limits::SUBMIT_WINDOW;

use crate::cast::{DeviceNo, RelayNo, RoomNo, cast, device_no, home};
use crate::plan::Profile;
use crate::store::{Delivery, Fact};
use crate::wire::{Change, MessageNo};
use crate::world::World;

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) law: &'static str,
    pub(crate) detail: String,
    /// When, milliseconds of the world's time.
    pub(crate) at: u64,
}

#[derive(Debug, Clone)]
struct Message {
    /// Its relay took it, and was then restored from a copy.
    before_restore: bool,
    /// It was taken anywhere before a relay was restored: that relay may have acknowledged and lost it.
    early: bool,
    room: RoomNo,
    from: DeviceNo,
    told: bool,
    accepted: Option<Accepted>,
    reached: BTreeSet<DeviceNo>,
    /// Relays of which its sender had notice.
    noticed: BTreeMap<RelayNo, Failure>,
}

#[derive(Debug, Clone, Copy)]
struct Accepted {
    epoch: u64,
    /// Its place among what its relay took for the room.
    order: u64,
}

/// What one device has seen of one room.
#[derive(Debug, Default)]
struct Seen {
    /// Its epoch, by decisions and Welcomes.
    epoch: Option<u64>,
    /// The last place of each origin.
    order: BTreeMap<RelayNo, u64>,
    /// Epochs that an origin has ended.
    ended: BTreeMap<RelayNo, u64>,
}

/// The memory.
#[derive(Default)]
pub(crate) struct Laws {
    messages: Vec<Message>,
    /// By the device and the number under which its relay took it.
    numbers: BTreeMap<(DeviceNo, u64), MessageNo>,
    order: BTreeMap<(RelayNo, RoomNo), u64>,
    /// The rosters as they were decided.
    rosters: BTreeMap<(RoomNo, u64), Arc<Roster>>,
    pub(crate) epochs: BTreeMap<RoomNo, u64>,
    seen: BTreeMap<(DeviceNo, RoomNo), Seen>,
    pub(crate) delivered: u64,
    pub(crate) notices: u64,
    pub(crate) new_lives: u64,
    restored: Option<RelayNo>,
    /// Messages that came to a device again, after a lane had begun another life.
    pub(crate) repeats: u64,
}

impl Laws {
    pub(crate) fn found(&mut self, room: RoomNo, founder: DeviceNo) {
        let roster: Roster = [cast().devices[founder].clone()].into_iter().collect();
        self.rosters.insert((room, 0), Arc::new(roster));
        self.epochs.insert(room, 0);
    }

    pub(crate) fn write(&mut self, from: DeviceNo, room: RoomNo) -> MessageNo {
        let message = Message {
            before_restore: false,
            early: false,
            room,
            from,
            told: false,
            accepted: None,
            reached: BTreeSet::new(),
            noticed: BTreeMap::new(),
        };
        self.messages.push(message);
        self.messages.len() as MessageNo - 1
    }

    /// A relay was restored from a copy: what it had taken, and is not known elsewhere, is gone.
    pub(crate) fn restored(&mut self, relay: RelayNo) {
        self.restored = Some(relay);
        for message in self.messages.iter_mut().filter(|message| message.accepted.is_some() || message.told) {
            (message.early, message.before_restore) = (true, home(message.from) == relay);
        }
    }

    /// A device was told that its relay has taken a message.
    pub(crate) fn told_accepted(&mut self, message: MessageNo) {
        self.messages[message as usize].told = true;
    }

    pub(crate) fn members(&self, room: RoomNo) -> Vec<DeviceNo> {
        let roster = self.epochs.get(&room).and_then(|epoch| self.rosters.get(&(room, *epoch)));
        roster
            .map(|roster| roster.entries().map(|entry| device_no(&entry.mailbox())).collect())
            .unwrap_or_default()
    }

    fn decided(&mut self, room: RoomNo, epoch: u64, change: &Change) -> Result<(), String> {
        let Some(old) = self.rosters.get(&(room, epoch)) else {
            return Err(format!("epoch {epoch} of room {room} was decided before it began"));
        };
        let new = Arc::new(change.apply(old));
        if self.rosters.insert((room, epoch + 1), new).is_some() {
            return Err(format!("epoch {epoch} of room {room} was decided twice"));
        }
        self.epochs.insert(room, epoch + 1);
        Ok(())
    }

    fn accepted(
        &mut self,
        device: DeviceNo,
        number: u64,
        epoch: u64,
        message: MessageNo,
    ) -> Result<(), String> {
        let known = &mut self.messages[message as usize];
        let order = self.order.entry((home(device), known.room)).or_default();
        *order += 1;
        // A relay that was restored takes again what its device was not told of.
        if known.accepted.replace(Accepted { epoch, order: *order }).is_some() && !known.before_restore {
            return Err(format!("message {message} of d{device} was taken twice"));
        }
        self.numbers.insert((device, number), message);
        Ok(())
    }

    /// Whether a device that is not in a room has been there in the epoch that a delivery is about.
    pub(crate) fn knew(&self, device: DeviceNo, delivery: &Delivery) -> bool {
        let known = self.seen.get(&(device, delivery.room())).and_then(|seen| seen.epoch);
        match delivery {
            Delivery::Message { epoch, .. }
            | Delivery::EpochEnd { epoch, .. }
            | Delivery::Decided { epoch, .. } => known.is_some_and(|known| *epoch < known),
            Delivery::Welcome { .. } | Delivery::Notice { .. } => true,
        }
    }

    fn message(
        &mut self,
        device: DeviceNo,
        origin: RelayNo,
        epoch: u64,
        no: MessageNo,
    ) -> Result<(), (&'static str, String)> {
        let message = &mut self.messages[no as usize];
        let what = format!(
            "d{device}, message {no} of d{} at r{origin}, room {}, epoch {epoch}",
            message.from, message.room
        );
        let Some(accepted) = message.accepted else { return Err(("what is delivered was accepted", what)) };
        let roster = self.rosters.get(&(message.room, epoch));
        let entry = &cast().devices[device];
        let on = roster.is_some_and(|roster| roster.has(&entry.mailbox(), &entry.home));
        if accepted.epoch != epoch || !on {
            return Err(("only the roster of its epoch gets a message", what));
        }
        if !message.reached.insert(device) {
            if self.new_lives > 0 || self.restored.is_some() {
                // What a destination has taken and not acknowledged comes again in a lane's next life. Devices know a
                // message by its id.
                self.repeats += 1;
                return Ok(());
            }
            return Err(("a message reaches a device once", what));
        }
        let seen = self.seen.entry((device, message.room)).or_default();
        if seen.epoch.is_none_or(|own| own < epoch) {
            return Err(("no message comes before the decision that led to its epoch", what));
        }
        if seen.ended.get(&origin).is_some_and(|ended| *ended >= epoch) {
            return Err(("the end of an epoch comes behind its last message", what));
        }
        let last = seen.order.entry(origin).or_default();
        if accepted.order <= *last {
            return Err(("messages come in their sender's order", what));
        }
        *last = accepted.order;
        self.delivered += 1;
        Ok(())
    }

    fn delivery(&mut self, device: DeviceNo, delivery: &Delivery) -> Result<(), (&'static str, String)> {
        match *delivery {
            Delivery::Message { origin, epoch, message, .. } => self.message(device, origin, epoch, message),
            Delivery::Welcome { room, epoch } => {
                let seen = self.seen.entry((device, room)).or_default();
                if seen.epoch.is_some_and(|own| own >= epoch) {
                    let detail = format!(
                        "d{device} is welcomed to epoch {epoch} of room {room} after {:?}",
                        seen.epoch
                    );
                    return Err(("decisions come once and in order", detail));
                }
                seen.epoch = Some(epoch);
                Ok(())
            }
            Delivery::Decided { room, epoch, .. } => {
                let seen = self.seen.entry((device, room)).or_default();
                if seen.epoch != Some(epoch) {
                    let detail = format!(
                        "d{device} hears the end of epoch {epoch} of room {room} in {:?}",
                        seen.epoch
                    );
                    return Err(("decisions come once and in order", detail));
                }
                seen.epoch = Some(epoch + 1);
                Ok(())
            }
            Delivery::EpochEnd { room, origin, epoch } => {
                let seen = self.seen.entry((device, room)).or_default();
                let detail = format!("d{device}: r{origin} ends epoch {epoch} of room {room}");
                if seen.epoch.is_none_or(|own| own <= epoch) {
                    return Err(("an epoch's end comes behind the decision that ended it", detail));
                }
                if seen.ended.get(&origin).is_some_and(|ended| *ended >= epoch) {
                    if self.new_lives > 0 || self.restored.is_some() {
                        return Ok(());
                    }
                    return Err(("an epoch ends once", detail));
                }
                seen.ended.insert(origin, epoch);
                Ok(())
            }
            Delivery::Notice { number, relay, failure, .. } => {
                self.notices += 1;
                let Some(message) = self.numbers.get(&(device, number)) else {
                    return Err((
                        "notices are about what was accepted",
                        format!("d{device}, number {number}"),
                    ));
                };
                self.messages[*message as usize].noticed.insert(relay, failure);
                Ok(())
            }
        }
    }

    /// At the end: what was accepted is everywhere, or its sender knows.
    fn complete(&self) -> Result<(), (&'static str, String)> {
        for (no, message) in self.messages.iter().enumerate().filter(|(_, message)| !message.before_restore) {
            let Some(accepted) = message.accepted else {
                if message.told {
                    let what = format!("message {no} of d{}", message.from);
                    return Err(("what a device is told is accepted stays so", what));
                }
                continue;
            };
            let Some(roster) = self.rosters.get(&(message.room, accepted.epoch)) else { continue };
            for device in roster.entries().map(|entry| device_no(&entry.mailbox())) {
                let known = message.noticed.contains_key(&home(device));
                let lost = self.restored == Some(home(device)) && message.early;
                if !lost && device != message.from && !message.reached.contains(&device) && !known {
                    let Accepted { epoch, .. } = accepted;
                    let (from, room) = (message.from, message.room);
                    let what =
                        format!("message {no} of d{from}, room {room}, epoch {epoch}: not at d{device}");
                    return Err(("every accepted message arrives, or its sender hears of it", what));
                }
            }
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn broke(&mut self, law: &'static str, detail: String) {
        self.trace.line(self.now, || format!("BROKEN: {law}: {detail}"));
        let at = self.now;
        self.broken.get_or_insert(Broken { law, detail, at });
    }

    /// What a transaction has made durable.
    pub(crate) fn learn(&mut self, relay: RelayNo, fact: Fact) {
        self.trace.line(self.now, || format!("r{relay} has {fact:?}"));
        match fact {
            Fact::Accepted { device, number, epoch, message } => {
                if let Err(detail) = self.laws.accepted(device, number, epoch, message) {
                    self.broke("a message is taken once", detail);
                }
            }
            Fact::Decided { room, epoch, change } => {
                if let Err(detail) = self.laws.decided(room, epoch, &change) {
                    self.broke("one decision for each epoch", detail);
                }
            }
            Fact::NewLife => self.laws.new_lives += 1,
            Fact::Refused { item }
                if self.plan.profile == Profile::Plain && !item.starts_with("unknown-room") =>
            {
                self.broke("nothing is refused without need", format!("an item of r{relay}: {item}"));
            }
            Fact::LostForGood { origin, room } => {
                let detail = format!("r{relay} drops an item of r{origin}, room {room}");
                self.broke("what was put aside is for somebody", detail);
            }
            Fact::Refused { .. } => {}
        }
    }

    pub(crate) fn check_applied(&mut self, relay: RelayNo, room: RoomNo, epoch: u64) {
        let applied = self.relays[relay].disk.rooms.get(&room).map(|room| room.epoch);
        if applied.is_none_or(|applied| applied <= epoch) {
            let detail =
                format!("r{relay} stands at {applied:?} of room {room}, and tells the end of {epoch}");
            self.broke("a relay applies a decision before its devices see it", detail);
        }
    }

    pub(crate) fn check_delivery(&mut self, device: DeviceNo, delivery: &Delivery) {
        if let Err((law, detail)) = self.laws.delivery(device, delivery) {
            self.broke(law, detail);
        }
    }

    /// Bounds that hold at all times.
    pub(crate) fn check_bounds(&mut self) {
        for no in 0..self.relays.len() {
            let relay = &self.relays[no];
            let lanes = 2 * self.relays.len();
            let windows =
                relay.disk.mailboxes.values().all(|mailbox| {
                    mailbox.window.accepted().0 - mailbox.window.forgotten().0 <= SUBMIT_WINDOW
                });
            if !windows || relay.memory.work.len() > lanes || relay.memory.incoming.len() > lanes {
                return self.broke("what a relay keeps is bounded", format!("r{no}"));
            }
        }
    }

    /// Whether nothing waits anywhere.
    pub(crate) fn is_quiet(&self) -> bool {
        let rests = |relay: &crate::relay::Relay| relay.queue.is_empty() && relay.disk.waiting() == (0, 0, 0);
        self.relays.iter().all(rests) && self.devices.iter().all(crate::devices::Device::is_idle)
    }

    /// When the world has come to rest.
    pub(crate) fn check_end(&mut self) {
        if let Err((law, detail)) = self.laws.complete() {
            self.broke(law, detail);
        }
        for room in 0..self.plan.rooms {
            let epoch = self.laws.epochs[&room];
            for device in self.laws.members(room) {
                let own = self.devices[device].rooms.get(&room).copied();
                if own != Some(epoch) {
                    let detail = format!("d{device} stands at {own:?} of room {room}, which is in {epoch}");
                    return self.broke("everybody catches up", detail);
                }
            }
        }
    }
}
