//! Following a hub: what came by a control lane, in answer to a commit, or in answer to a question; and asking for what is
//! missing in between.

use std::collections::VecDeque;

use posthouse_spec::LaneSeq;
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::Item;
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};

use crate::cast::{DeviceNo, RelayNo, RoomNo, device_no, relay_no, room_no};
use crate::net::{AskId, ConnId, Question, Reply, StreamId};
use crate::plan::Mutation;
use crate::relay::After;
use crate::store::{Outcome, Place, Step, Write};
use crate::wire::{Ruling, read_bundle};
use crate::world::{Event, World};

/// How long an answer may take, milliseconds.
const ANSWER_MS: u64 = 15_000;

/// For whom a task works.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Control { stream: StreamId, place: Place },
    Device { device: DeviceNo, socket: u64 },
    CatchUp,
}

/// A decision with what came with it.
#[derive(Debug, Clone)]
pub(crate) struct News {
    ruling: Ruling,
    invited: Vec<DeviceNo>,
    place: Option<Place>,
}

/// Brings one room forward, step by step.
#[derive(Debug)]
pub(crate) struct Task {
    room: RoomNo,
    purpose: Purpose,
    /// Decisions that were asked for and wait to be applied.
    fetched: VecDeque<Ruling>,
    news: Option<News>,
    asked: bool,
    /// Planted bug: the decision is told, and not applied yet.
    told: bool,
    finished: bool,
}

impl World {
    fn start_task(&mut self, relay: RelayNo, room: RoomNo, purpose: Purpose, news: Option<News>) -> u64 {
        let id = self.net.id();
        let fetched = VecDeque::new();
        let task = Task { room, purpose, fetched, news, asked: false, told: false, finished: false };
        self.relays[relay].memory.tasks.insert(id, task);
        id
    }

    /// One item of a control lane.
    pub(crate) fn take_control(&mut self, relay: RelayNo, stream: StreamId, place: Place, item: Item) {
        let purpose = Purpose::Control { stream, place };
        let origin = place.lane.origin;
        match item {
            Item::Decided(item) => {
                let room = room_no(item.room);
                let known = self.relays[relay].disk.rooms.get(&room);
                let follows = known.is_some_and(|known| known.active && known.hub == origin);
                let news =
                    News { ruling: Ruling::read(&item.decided), invited: Vec::new(), place: Some(place) };
                let task = self.start_task(relay, room, purpose, Some(news));
                if follows { self.step(relay, task) } else { self.unknown_room(relay, task, stream, place) }
            }
            Item::Welcome(item) => {
                let (room, ruling) = (room_no(item.room), Ruling::read(&item.decided));
                let (invited, roster) = read_bundle(&item.bundle);
                let known = self.relays[relay].disk.rooms.get(&room).filter(|room| room.active);
                let hub = known.map(|room| room.hub);
                let news = News { ruling: ruling.clone(), invited: invited.clone(), place: Some(place) };
                let task = self.start_task(relay, room, purpose, Some(news));
                match hub {
                    Some(hub) if hub == origin => self.step(relay, task),
                    Some(_) => self.unknown_room(relay, task, stream, place),
                    None => {
                        let roster = roster.entries().map(|entry| device_no(&entry.mailbox())).collect();
                        let hub = relay_no(&item.hub);
                        self.write(
                            relay,
                            Write::Adopt { ruling, hub, invited, roster, place },
                            After::Task(task),
                        );
                    }
                }
            }
            other => {
                self.broke("lanes carry what they carry", format!("{:?} on a control lane", other.class()))
            }
        }
    }

    fn unknown_room(&mut self, relay: RelayNo, task: u64, stream: StreamId, place: Place) {
        let detail = Text::clipped("this relay takes no part in the room");
        let refused = RefusedItem { seq: LaneSeq(place.seq), reason: ItemRefusal::UnknownRoom, detail };
        self.control_refused(relay, stream, place, refused);
        if let Some(task) = self.relays[relay].memory.tasks.get_mut(&task) {
            task.finished = true;
        }
        self.write(relay, Write::Pass(place), After::Task(task));
    }

    /// Does the next thing that a task has to do.
    fn step(&mut self, relay: RelayNo, id: u64) {
        let Some(task) = self.relays[relay].memory.tasks.get_mut(&id) else { return };
        let no = task.room;
        let Some(room) = self.relays[relay].disk.rooms.get(&no) else { return self.task_failed(relay, id) };
        let (epoch, hub, active) = (room.epoch, room.hub, room.active);
        let Some(task) = self.relays[relay].memory.tasks.get_mut(&id) else { return };
        if !active && !task.finished {
            // Somebody else's step has taken this relay out of the room.
            return self.task_failed(relay, id);
        }
        while task.fetched.front().is_some_and(|ruling| ruling.epoch < epoch) {
            task.fetched.pop_front();
        }
        if let Some(ruling) = task.fetched.front().cloned() {
            if ruling.epoch > epoch {
                return self
                    .broke("a hub's answer leaves nothing out", format!("r{hub} to r{relay}, room {no}"));
            }
            let write = Write::Advance { ruling, invited: Vec::new(), place: None };
            return self.write(relay, write, After::Task(id));
        }
        let Some(news) = task.news.clone() else { return self.task_done(relay, id) };
        if news.ruling.epoch > epoch {
            if task.asked {
                return self.task_failed(relay, id);
            }
            task.asked = true;
            return self.ask(relay, hub, Question::Decisions { room: no, from: epoch }, id);
        }
        task.finished = true;
        if news.ruling.epoch < epoch {
            return match news.place {
                Some(place) if !news.invited.is_empty() => {
                    let write = Write::Invite { ruling: news.ruling, invited: news.invited, place };
                    self.write(relay, write, After::Task(id));
                }
                Some(place) => self.write(relay, Write::Pass(place), After::Task(id)),
                None => self.task_done(relay, id),
            };
        }
        if self.plan.mutation == Some(Mutation::DecisionBeforeState) && !task.told {
            (task.told, task.finished) = (true, false);
            return self.write(relay, Write::TellDecided(news.ruling), After::Task(id));
        }
        let News { ruling, invited, place } = news;
        self.write(relay, Write::Advance { ruling, invited, place }, After::Task(id));
    }

    /// A task's transaction is durable.
    pub(crate) fn task_stepped(&mut self, relay: RelayNo, id: u64, outcome: &Outcome) {
        let Some(task) = self.relays[relay].memory.tasks.get_mut(&id) else { return };
        match outcome {
            Outcome::Step(Step::Moved) => self.task_failed(relay, id),
            Outcome::Step(_) if task.fetched.pop_front().is_some() => self.step(relay, id),
            _ if task.told && !task.finished => self.step(relay, id),
            _ => self.task_done(relay, id),
        }
    }

    fn task_done(&mut self, relay: RelayNo, id: u64) {
        let Some(task) = self.relays[relay].memory.tasks.remove(&id) else { return };
        match task.purpose {
            Purpose::Control { stream, place } => self.next_control(relay, place.lane, stream),
            Purpose::Device { device, socket } => self.commit_answered(relay, device, socket, true),
            Purpose::CatchUp => {
                self.relays[relay].memory.catching_up.remove(&task.room);
            }
        }
    }

    fn task_failed(&mut self, relay: RelayNo, id: u64) {
        let Some(task) = self.relays[relay].memory.tasks.remove(&id) else { return };
        self.trace.line(self.now, || format!("r{relay} cannot bring room {} forward now", task.room));
        match task.purpose {
            Purpose::Control { stream, place } => self.control_later(relay, place.lane, stream),
            Purpose::Device { device, socket } => self.commit_answered(relay, device, socket, false),
            Purpose::CatchUp => {
                self.relays[relay].memory.catching_up.remove(&task.room);
            }
        }
    }

    /// Rooms that have had items waiting for a while ask their hub.
    pub(crate) fn catch_up(&mut self, relay: RelayNo) {
        let owner = &self.relays[relay];
        let before = self.lane_clock(relay).0.saturating_sub(1_000);
        let behind = owner.disk.aside.iter().filter(|aside| aside.received < before).filter_map(|aside| {
            let room = owner.disk.rooms.get(&aside.room)?;
            (room.active && aside.needs > room.epoch && room.hub != relay)
                .then_some((aside.room, room.hub, room.epoch))
        });
        let behind: std::collections::BTreeSet<(RoomNo, RelayNo, u64)> = behind.collect();
        for (room, hub, from) in behind {
            if self.relays[relay].memory.catching_up.insert(room) {
                let task = self.start_task(relay, room, Purpose::CatchUp, None);
                self.ask(relay, hub, Question::Decisions { room, from }, task);
            }
        }
    }

    /// Has a local device's commit decided: here if this relay is the hub, else by the hub.
    pub(crate) fn propose(&mut self, relay: RelayNo, device: DeviceNo, socket: u64, commit: Question) {
        let Question::Commit { room, epoch, ref change } = commit else { return };
        let Some(known) = self.relays[relay].disk.rooms.get(&room).filter(|room| room.active) else {
            return self.commit_answered(relay, device, socket, false);
        };
        if known.hub == relay {
            let write = Write::Decide { from: relay, room, epoch, change: change.clone() };
            return self.write(relay, write, After::Told { device, socket });
        }
        let hub = known.hub;
        let task = self.start_task(relay, room, Purpose::Device { device, socket }, None);
        self.ask(relay, hub, commit, task);
    }

    fn ask(&mut self, relay: RelayNo, hub: RelayNo, question: Question, task: u64) {
        let ask = self.net.id();
        let memory = &mut self.relays[relay].memory;
        memory.asked.insert(ask, task);
        let session = memory.sessions.get(&hub).copied();
        let boot = self.relays[relay].boot;
        self.after(ANSWER_MS, Event::AskTimeout { relay, boot, ask });
        match session {
            Some(conn) => {
                self.send_ask(conn, relay, |to| Event::Ask { conn, ask, from: relay, to, question })
            }
            None => {
                self.relays[relay].memory.unasked.push((hub, ask, question));
                self.dial(relay, hub);
            }
        }
    }

    pub(crate) fn ask_waiting(&mut self, relay: RelayNo, peer: RelayNo) {
        let Some(conn) = self.relays[relay].memory.sessions.get(&peer).copied() else { return };
        let waiting = std::mem::take(&mut self.relays[relay].memory.unasked);
        for (hub, ask, question) in waiting {
            if hub == peer {
                self.send_ask(conn, relay, |to| Event::Ask { conn, ask, from: relay, to, question });
            } else {
                self.relays[relay].memory.unasked.push((hub, ask, question));
            }
        }
    }

    pub(crate) fn unasked_failed(&mut self, relay: RelayNo, peer: RelayNo) {
        let waiting = std::mem::take(&mut self.relays[relay].memory.unasked);
        let (failed, rest) = waiting.into_iter().partition(|(hub, ..)| *hub == peer);
        self.relays[relay].memory.unasked = rest;
        let failed: Vec<(RelayNo, AskId, Question)> = failed;
        for (_, ask, _) in failed {
            self.ask_failed(relay, ask);
        }
    }

    pub(crate) fn ask_failed(&mut self, relay: RelayNo, ask: AskId) {
        if let Some(task) = self.relays[relay].memory.asked.remove(&ask) {
            self.relays[relay].memory.unasked.retain(|(_, other, _)| *other != ask);
            self.task_failed(relay, task);
        }
    }

    /// A question comes in. A relay that has left is told of no more than the decision by which it did.
    pub(crate) fn asked(
        &mut self,
        relay: RelayNo,
        conn: ConnId,
        ask: AskId,
        from: RelayNo,
        question: &Question,
    ) {
        let reply = match question {
            Question::Commit { room, epoch, change } => {
                let write = Write::Decide { from, room: *room, epoch: *epoch, change: change.clone() };
                return self.write(relay, write, After::Answer { conn, ask, to: from });
            }
            Question::Decisions { room, from: first } => {
                let room = self.relays[relay].disk.rooms.get(room).filter(|room| room.active);
                let shared = room.filter(|room| room.had(from, room.epoch) || room.had(from, *first));
                shared.map_or(Reply::Refused, |room| {
                    let now = room.had(from, room.epoch);
                    let log =
                        room.log.range(*first..).take_while(|(epoch, _)| now || room.had(from, **epoch));
                    Reply::Decisions(log.map(|(_, ruling)| ruling.clone()).collect())
                })
            }
        };
        self.send_ask(conn, relay, |to| Event::Answer { conn, ask, from: relay, to, reply });
    }

    pub(crate) fn answered(&mut self, relay: RelayNo, ask: AskId, reply: Reply) {
        let Some(id) = self.relays[relay].memory.asked.remove(&ask) else { return };
        let Some(task) = self.relays[relay].memory.tasks.get_mut(&id) else { return };
        let news = |ruling: Ruling| News { ruling, invited: Vec::new(), place: None };
        match reply {
            Reply::Decisions(rulings) => {
                task.asked = true;
                task.fetched = rulings.into();
            }
            Reply::Decided(ruling) => {
                // Whoever is invited here hears of it by the Welcome on the control lane, or here.
                let invited = ruling.change.adds.iter().copied();
                let invited = invited.filter(|device| crate::cast::home(*device) == relay).collect();
                task.news = Some(News { invited, ..news(*ruling) });
            }
            Reply::Stale(Some(ruling)) => task.news = Some(news(*ruling)),
            Reply::Stale(None) | Reply::Refused => return self.task_failed(relay, id),
        }
        self.step(relay, id);
    }
}
