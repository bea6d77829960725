//! A relay's side of its devices' sockets: what they ask goes to the writer, and what waits for them is pushed.

use crate::cast::{DeviceNo, RelayNo};
use crate::devices::Line;
use crate::relay::{After, Socket};
use crate::store::{Answer, Delivery, Outcome, Write};
use crate::world::World;

/// Deliveries pushed ahead of the last acknowledgement.
const PUSHED: u64 = 8;

impl World {
    pub(crate) fn relay_hears(&mut self, relay: RelayNo, device: DeviceNo, socket: u64, line: Line) {
        if !self.relays[relay].up {
            return;
        }
        match line {
            Line::Hello(hello) => {
                let pushed = hello.acked.0;
                self.relays[relay].memory.sockets.insert(device, Socket { id: socket, ready: false, pushed });
                self.write(relay, Write::Hello { device, hello }, After::Ready { device, socket });
            }
            Line::Submit(submit) => {
                let number = submit.number.0;
                self.write(
                    relay,
                    Write::Submit { device, submit },
                    After::Submitted { device, socket, number },
                );
            }
            Line::Ack(through) => self.write(relay, Write::DeviceAck { device, through }, After::Nothing),
            Line::Commit(question) => self.propose(relay, device, socket, question),
            _ => {}
        }
    }

    /// The relay answers a hello.
    pub(crate) fn hello_answered(
        &mut self,
        relay: RelayNo,
        device: DeviceNo,
        socket: u64,
        outcome: &Outcome,
    ) {
        match outcome {
            Outcome::Ready { accepted } => {
                let Some(known) = self.relays[relay].memory.sockets.get_mut(&device) else { return };
                if known.id == socket {
                    known.ready = true;
                    self.line(device, socket, false, Line::Ready { accepted: *accepted });
                    self.push(relay, device);
                }
            }
            Outcome::RolledBack(why) => {
                self.broke("no honest device was restored from a copy", format!("d{device}: {why}"));
            }
            _ => {}
        }
    }

    pub(crate) fn submit_answered(
        &mut self,
        relay: RelayNo,
        device: DeviceNo,
        socket: u64,
        number: u64,
        answer: Answer,
    ) {
        if answer == Answer::Accepted && self.strict {
            let durable = self.relays[relay].disk.mailboxes[&device].window.accepted().0;
            if durable < number {
                let detail = format!("r{relay} accepts number {number} of d{device}, durable is {durable}");
                return self.broke("nothing is acknowledged before it is durable", detail);
            }
        }
        self.line(device, socket, false, Line::Answer { number, answer });
    }

    pub(crate) fn commit_answered(&mut self, _: RelayNo, device: DeviceNo, socket: u64, done: bool) {
        self.line(device, socket, false, Line::CommitAnswer(done));
    }

    /// Pushes what waits, as far as the window goes.
    pub(crate) fn push(&mut self, relay: RelayNo, device: DeviceNo) {
        let owner = &mut self.relays[relay];
        let Some(socket) = owner.memory.sockets.get_mut(&device).filter(|socket| socket.ready) else {
            return;
        };
        let mailbox = &owner.disk.mailboxes[&device];
        let ahead = mailbox.acked + PUSHED;
        let waiting = mailbox.rows.iter().filter(|(seq, _)| *seq > socket.pushed && *seq <= ahead);
        let lines: Vec<(u64, Delivery)> = waiting.cloned().collect();
        let Some((last, _)) = lines.last() else { return };
        socket.pushed = *last;
        let id = socket.id;
        for (seq, delivery) in lines {
            if let Delivery::Decided { room, epoch, .. } = &delivery {
                self.check_applied(relay, *room, *epoch);
            }
            self.line(device, id, false, Line::Push { seq, delivery });
        }
    }
}
