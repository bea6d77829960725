//! Submits: a device's message becomes one row in each other local mailbox, and one on each lane.

use posthouse_relay::mailbox::{NumberCheck, body_hash};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::client::socket::Submit;

use super::lanes::Sent;
use super::{Around, Delivery, Fact, Store};
use crate::cast::{DeviceNo, cast, device_no, relay_no, room_no};
use crate::wire::{message_item, message_no};

/// The answer to a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Refused(Refusal),
}

impl Store {
    pub(super) fn submit(&mut self, device: DeviceNo, submit: &Submit, around: &mut Around) -> Answer {
        let hash = body_hash(submit);
        let Some(mailbox) = self.mailboxes.get(&device) else { return Answer::Refused(Refusal::NotMember) };
        match mailbox.window.check(submit.number, &hash) {
            NumberCheck::New => {}
            NumberCheck::Repeat => return Answer::Accepted,
            NumberCheck::Reused => return Answer::Refused(Refusal::NumberReused),
            NumberCheck::Gap => return Answer::Refused(Refusal::NumberGap),
        }
        let (own, who, number) = (self.domain(), cast().devices[device].mailbox(), submit.number.0);
        let no = room_no(submit.room);
        let Some(room) = self.rooms.get(&no) else { return Answer::Refused(Refusal::UnknownRoom) };
        if !room.current().has(&who, own) {
            return Answer::Refused(Refusal::NotMember);
        }
        if submit.epoch.0 != room.epoch {
            return Answer::Refused(Refusal::StaleEpoch);
        }
        let (plan, hub) = (room.current().fan_out(own, &who), &cast().domains[room.hub]);
        let local: Vec<DeviceNo> = plan.local.iter().map(device_no).collect();
        let open: Vec<DeviceNo> =
            local.iter().copied().filter(|device| self.has_space(*device, no)).collect();
        if open.is_empty() && plan.relays.is_empty() && !local.is_empty() {
            return Answer::Refused(Refusal::Quota);
        }
        let (epoch, message) = (submit.epoch.0, message_no(submit.body.bytes()));
        let sent = Sent { room: no, submitter: Some((device, number)), received: around.now };
        for device in &open {
            self.deliver(*device, Delivery::Message { room: no, origin: self.own, epoch, message }, around);
        }
        let item = message_item(no, hub, epoch, message);
        for relay in &plan.relays {
            self.send(relay_no(relay), &item, sent, around);
        }
        if open.len() < local.len() {
            self.notice(sent, self.own, Failure::Quota, around);
        }
        if let Some(mailbox) = self.mailboxes.get_mut(&device) {
            mailbox.window.take(hash);
        }
        around.facts.push(Fact::Accepted { device, number, epoch, message });
        Answer::Accepted
    }
}
