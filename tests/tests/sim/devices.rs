//! Devices: they write, send again what was not answered, and keep what they are told.

use std::collections::{BTreeMap, VecDeque};

use posthouse_spec::cbor::Octets;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{Hello, Submit};
use posthouse_spec::{Epoch, Incarnation, MailboxSeq, Number};

use crate::cast::{DeviceNo, RoomNo, cast, home};
use crate::net::Question;
use crate::store::{Answer, Delivery};
use crate::wire::{Change, MessageNo};
use crate::world::{Event, World};

/// Submits in flight.
const IN_FLIGHT: usize = 4;
/// How long a device waits before it tries again, milliseconds.
const AGAIN_MS: u64 = 2_000;

/// Between a device and its relay.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Hello(Hello),
    Submit(Submit),
    Ack(u64),
    Commit(Question),
    Ready { accepted: u64 },
    Answer { number: u64, answer: Answer },
    CommitAnswer(bool),
    Push { seq: u64, delivery: Delivery },
}

/// Something that a user wants sent.
#[derive(Debug, Clone)]
struct Intent {
    room: RoomNo,
    message: MessageNo,
    /// Number and epoch under which it was sealed.
    sealed: Option<(u64, u64)>,
}

/// A device. All of it but the socket is its vault, which survives.
#[derive(Debug)]
pub(crate) struct Device {
    held: u64,
    last_number: u64,
    intents: VecDeque<Intent>,
    /// The epoch of each room that it is in.
    pub(crate) rooms: BTreeMap<RoomNo, u64>,
    /// What waits for a Welcome.
    early: Vec<Delivery>,
    commit: Option<Question>,
    pub(crate) socket: Option<u64>,
    ready: bool,
    /// Numbers that wait for their answer, and whether the answer still counts.
    sent: VecDeque<(u64, bool)>,
    paused: bool,
    arrives: [u64; 2],
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            held: 0,
            last_number: 0,
            intents: VecDeque::new(),
            rooms: BTreeMap::new(),
            early: Vec::new(),
            commit: None,
            socket: None,
            ready: false,
            sent: VecDeque::new(),
            paused: false,
            arrives: [0; 2],
        }
    }

    /// Its relay was restored from a copy, and remembers less than it has answered: what is not answered yet is numbered
    /// behind that.
    fn number_behind(&mut self, accepted: u64) {
        let first = self.intents.front().and_then(|intent| intent.sealed).map(|(number, _)| number);
        if first.unwrap_or(self.last_number + 1) > accepted + 1 {
            self.last_number = accepted;
            self.intents.iter_mut().for_each(|intent| intent.sealed = None);
        }
    }

    /// Whether its user still waits for something.
    pub(crate) fn is_idle(&self) -> bool {
        self.intents.is_empty() && self.commit.is_none() && self.early.is_empty()
    }
}

impl World {
    pub(crate) fn line(&mut self, device: DeviceNo, socket: u64, up: bool, line: Line) {
        let latency = self.rng.between(1, 30);
        let arrives = &mut self.devices[device].arrives[usize::from(up)];
        *arrives = (*arrives).max(self.now + latency);
        let at = *arrives;
        self.at(at, Event::Line { device, socket, up, line });
    }

    /// A device connects.
    pub(crate) fn connect(&mut self, device: DeviceNo) {
        if self.devices[device].socket.is_some() {
            return;
        }
        if !self.relays[home(device)].up {
            return self.after(AGAIN_MS, Event::Connect { device });
        }
        let id = self.net.id();
        let one = &mut self.devices[device];
        (one.socket, one.ready, one.paused) = (Some(id), false, false);
        one.sent.clear();
        let hello = Hello {
            version: 1,
            incarnation: Incarnation::new([device as u8; 16]),
            acked: MailboxSeq(one.held),
            last_number: Number(one.last_number),
        };
        self.line(device, id, true, Line::Hello(hello));
    }

    /// A device's socket breaks; it calls again later.
    pub(crate) fn disconnect(&mut self, device: DeviceNo, later: u64) {
        let one = &mut self.devices[device];
        if one.socket.take().is_some() {
            self.relays[home(device)].memory.sockets.remove(&device);
            self.after(later, Event::Connect { device });
        }
    }

    pub(crate) fn line_arrives(&mut self, device: DeviceNo, socket: u64, up: bool, line: Line) {
        if self.devices[device].socket != Some(socket) {
            return;
        }
        if up {
            self.relay_hears(home(device), device, socket, line)
        } else {
            self.device_hears(device, socket, line)
        }
    }

    fn device_hears(&mut self, device: DeviceNo, socket: u64, line: Line) {
        match line {
            Line::Ready { accepted } => {
                self.devices[device].number_behind(accepted);
                self.devices[device].ready = true;
                self.send_commit(device);
                self.send_messages(device);
            }
            Line::Answer { number, answer } => self.answer(device, number, answer),
            Line::CommitAnswer(true) => self.devices[device].commit = None,
            Line::CommitAnswer(false) => self.after(AGAIN_MS, Event::Again { device, socket }),
            Line::Push { seq, delivery } => {
                let one = &mut self.devices[device];
                if seq > one.held + 1 {
                    let detail = format!("d{device} holds {} and is given {seq}", one.held);
                    return self.broke("mailboxes have no gaps", detail);
                }
                if seq == one.held + 1 {
                    one.held = seq;
                    self.keep(device, delivery);
                }
                let held = self.devices[device].held;
                self.line(device, socket, true, Line::Ack(held));
            }
            _ => {}
        }
    }

    /// A delivery is in the vault. What is ahead of a Welcome waits there: it comes first where the device's relay was
    /// brought forward by another way than the one on which the Welcome travels.
    fn keep(&mut self, device: DeviceNo, delivery: Delivery) {
        let one = &mut self.devices[device];
        let room = delivery.room();
        let known = one.rooms.contains_key(&room) || self.laws.knew(device, &delivery);
        if !known {
            return one.early.push(delivery);
        }
        let welcome = matches!(delivery, Delivery::Welcome { .. });
        self.take(device, delivery);
        if welcome {
            let early = std::mem::take(&mut self.devices[device].early);
            let (ready, early) = early.into_iter().partition(|delivery| delivery.room() == room);
            self.devices[device].early = early;
            let ready: Vec<Delivery> = ready;
            ready.into_iter().for_each(|delivery| self.keep(device, delivery));
        }
    }

    fn take(&mut self, device: DeviceNo, delivery: Delivery) {
        self.trace.line(self.now, || format!("d{device} keeps {delivery:?}"));
        self.check_delivery(device, &delivery);
        let one = &mut self.devices[device];
        match delivery {
            Delivery::Welcome { room, epoch } => {
                one.rooms.insert(room, epoch);
            }
            Delivery::Decided { room, epoch, change } => {
                if change.removes.contains(&device) {
                    one.rooms.remove(&room);
                } else if let Some(own) = one.rooms.get_mut(&room) {
                    *own = epoch + 1;
                }
                // Whoever lost does not try again: its user has seen what was decided instead.
                let ended = |commit: &Question| matches!(commit, Question::Commit { room: of, epoch: at, .. } if *of == room && *at <= epoch);
                one.commit = one.commit.take().filter(|commit| !ended(commit));
            }
            _ => return,
        }
        one.paused = false;
        self.send_messages(device);
    }

    pub(crate) fn say(&mut self, device: DeviceNo, room: RoomNo) {
        if !self.devices[device].rooms.contains_key(&room) {
            return;
        }
        let message = self.laws.write(device, room);
        self.devices[device].intents.push_back(Intent { room, message, sealed: None });
        self.send_messages(device);
    }

    pub(crate) fn again(&mut self, device: DeviceNo, socket: u64) {
        if self.devices[device].socket == Some(socket) {
            self.devices[device].paused = false;
            self.send_commit(device);
            self.send_messages(device);
        }
    }

    fn send_messages(&mut self, device: DeviceNo) {
        loop {
            let one = &mut self.devices[device];
            let Some(socket) = one.socket else { return };
            let next = one.sent.len();
            let void = one.sent.iter().any(|(_, counts)| !counts);
            if !one.ready || one.paused || void || next >= IN_FLIGHT || next >= one.intents.len() {
                return;
            }
            let intent = &mut one.intents[next];
            let Some(epoch) = one.rooms.get(&intent.room).copied() else {
                // Its user is out of the room, and is told so at once.
                if next > 0 {
                    return;
                }
                let sealed = intent.sealed;
                one.intents.pop_front();
                if let Some((number, _)) = sealed {
                    // The number was refused, and is used by the next one.
                    one.last_number = number - 1;
                    one.intents.iter_mut().for_each(|intent| intent.sealed = None);
                }
                continue;
            };
            let (number, epoch) = *intent.sealed.get_or_insert_with(|| {
                one.last_number += 1;
                (one.last_number, epoch)
            });
            let submit = Submit {
                room: cast().rooms[intent.room],
                epoch: Epoch(epoch),
                number: Number(number),
                body: Octets::new(intent.message.to_be_bytes().to_vec()).expect("small"),
            };
            one.sent.push_back((number, true));
            self.line(device, socket, true, Line::Submit(submit));
        }
    }

    fn answer(&mut self, device: DeviceNo, number: u64, answer: Answer) {
        let one = &mut self.devices[device];
        let Some((expected, counts)) = one.sent.pop_front() else { return };
        if expected != number || (!counts && answer == Answer::Accepted) {
            let detail = format!("d{device}: {answer:?} for {number}, expected one for {expected}");
            return self.broke("submits are answered in order", detail);
        }
        match answer {
            Answer::Accepted => {
                if let Some(intent) = one.intents.pop_front() {
                    self.laws.told_accepted(intent.message);
                }
            }
            Answer::Refused(_) if !counts => {}
            Answer::Refused(reason) => {
                one.sent.iter_mut().for_each(|(_, counts)| *counts = false);
                self.refused(device, reason);
            }
        }
        self.send_messages(device);
    }

    fn refused(&mut self, device: DeviceNo, reason: Refusal) {
        let one = &mut self.devices[device];
        let Some(intent) = one.intents.front_mut() else { return };
        let current = one.rooms.get(&intent.room).copied();
        match (reason, &mut intent.sealed, current) {
            // The room has moved on, and so has the device: sealed again under the same number.
            (Refusal::StaleEpoch, Some((_, epoch)), Some(current)) if current > *epoch => *epoch = current,
            (Refusal::NumberReused, ..) => {
                self.broke("honest devices reuse no number", format!("d{device}"));
            }
            // It waits for the decision, or for space.
            _ => {
                one.paused = true;
                if let Some(socket) = one.socket {
                    self.after(AGAIN_MS, Event::Again { device, socket });
                }
            }
        }
    }

    /// A user changes who is in a room.
    pub(crate) fn plan_commit(
        &mut self,
        device: DeviceNo,
        room: RoomNo,
        adds: Vec<DeviceNo>,
        removes: Vec<DeviceNo>,
    ) {
        let nonce = self.rng.bits() as u32;
        let one = &mut self.devices[device];
        let Some(epoch) = one.rooms.get(&room).copied().filter(|_| one.commit.is_none()) else { return };
        let change = Change { committer: device, adds, removes, nonce };
        one.commit = Some(Question::Commit { room, epoch, change });
        self.send_commit(device);
    }

    fn send_commit(&mut self, device: DeviceNo) {
        let one = &self.devices[device];
        if let (true, Some(socket), Some(commit)) = (one.ready, one.socket, one.commit.clone()) {
            self.line(device, socket, true, Line::Commit(commit));
        }
    }

    /// After the faults, what cannot be decided any more is given up by its user.
    pub(crate) fn give_up_commits(&mut self) {
        self.devices.iter_mut().for_each(|device| device.commit = None);
    }
}
