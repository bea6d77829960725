//! The writer: everything durable goes through it, in batches, and what answers it waits until the batch is durable.

use crate::cast::RelayNo;
use crate::net::Reply;
use crate::plan::Mutation;
use crate::relay::{After, Queued};
use crate::store::{Around, Outcome, Write};
use crate::world::{Event, World};
use posthouse_federation::schedule::Ended;

impl World {
    /// Hands a transaction to a relay's writer, which commits what waits together. Only then, `after` happens.
    pub(crate) fn write(&mut self, relay: RelayNo, write: Write, after: After) {
        let fresh = self.rng.bits();
        let early = self.plan.mutation == Some(Mutation::AcknowledgeBeforeCommit);
        let wait = if self.slow_until[relay] > self.now {
            self.rng.between(300, 2_000)
        } else {
            self.rng.between(1, 15)
        };
        let (now, boot) = (self.relays[relay].clock(self.now + (1 << 40)), self.relays[relay].boot);
        let owner = &mut self.relays[relay];
        let due = std::mem::replace(&mut owner.due, true);
        let mut answered = None;
        if early {
            let ahead = owner.ahead.get_or_insert_with(|| Box::new(owner.disk.clone()));
            answered = Some(ahead.run(&write, &mut Around::new(now, fresh, self.plan.mutation)));
        }
        let after_commit = if early { After::Nothing } else { after.clone() };
        owner.queue.push(Queued { write, fresh, after: after_commit });
        if !due {
            self.after(wait, Event::Commit { relay, boot });
        }
        if let Some(outcome) = answered {
            self.done(relay, after, outcome);
        }
    }

    /// The writer's transaction is durable.
    pub(crate) fn commit(&mut self, relay: RelayNo) {
        let now = self.relays[relay].clock(self.now + (1 << 40));
        let mutation = self.plan.mutation;
        let owner = &mut self.relays[relay];
        owner.due = false;
        let batch = std::mem::take(&mut owner.queue);
        let mut around = Around::new(now, 0, mutation);
        let mut done = Vec::with_capacity(batch.len());
        for queued in batch {
            around.fresh = queued.fresh;
            let outcome = owner.disk.run(&queued.write, &mut around);
            done.push((queued.after, outcome));
        }
        for fact in around.facts {
            self.learn(relay, fact);
        }
        for (after, outcome) in done {
            self.done(relay, after, outcome);
        }
        around.lanes.sort_unstable();
        around.lanes.dedup();
        for key in around.lanes {
            self.wake_lane(relay, key);
        }
        around.devices.sort_unstable();
        around.devices.dedup();
        for device in around.devices {
            self.push(relay, device);
        }
    }

    fn done(&mut self, relay: RelayNo, after: After, outcome: Outcome) {
        match after {
            After::Nothing => {}
            After::Submitted { device, socket, number } => {
                if let Outcome::Submitted(answer) = outcome {
                    self.submit_answered(relay, device, socket, number, answer);
                }
            }
            After::Ready { device, socket } => self.hello_answered(relay, device, socket, &outcome),
            After::Received { origin, class, stream } => self.received(relay, origin, class, stream, outcome),
            After::Task(task) => self.task_stepped(relay, task, &outcome),
            After::Outbox(key, stream) => self.told(relay, key, stream),
            After::NewLife(key) => self.ended(relay, key, Ended::NewLife),
            After::Answer { conn, ask, to } => {
                let reply = match outcome {
                    Outcome::Decided(ruling) => Reply::Decided(ruling),
                    Outcome::Stale(ruling) => Reply::Stale(ruling),
                    _ => Reply::Refused,
                };
                self.send_ask(conn, relay, |_| Event::Answer { conn, ask, from: relay, to, reply });
            }
            After::Told { device, socket } => {
                let done = matches!(outcome, Outcome::Decided(_));
                self.commit_answered(relay, device, socket, done);
            }
        }
    }
}
