//! Laws of the schedule, against a world that drives it in any order.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};
use proptest::prelude::*;

use super::*;

const CLASSES: [LaneClass; 4] = [LaneClass::Control, LaneClass::Messages, LaneClass::Slots, LaneClass::Media];

fn domain(n: usize) -> Domain {
    format!("r{n}.example").parse().expect("a domain of the test")
}

fn lane(n: usize, class: LaneClass) -> LaneId {
    LaneId { peer: domain(n), class }
}

fn messages(n: usize) -> LaneId {
    lane(n, LaneClass::Messages)
}

fn steps(schedule: &mut Schedule, now: u64) -> Vec<Step> {
    std::iter::from_fn(|| schedule.poll(Millis(now))).collect()
}

/// A schedule whose lane 0 is at work.
fn at_work() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.handle_wake(&messages(0));
    assert_eq!(steps(&mut schedule, 0), [Step::Connect(domain(0))]);
    schedule.handle_dialled(&domain(0), Dialled::Reached, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), [Step::Start(messages(0))]);
    schedule.handle_look(&messages(0));
    schedule
}

#[test]
fn a_lane_that_was_woken_while_it_worked_looks_again() {
    let mut schedule = at_work();
    assert_eq!(schedule.handle_wake(&messages(0)), Wake::Nudge);
    assert!(!schedule.handle_caught_up(&messages(0)));
    schedule.handle_look(&messages(0));
    assert!(schedule.handle_caught_up(&messages(0)));
    assert_eq!(schedule.load(), Load { idle: 1, peers: 1, ..Load::default() });
    assert_eq!(schedule.handle_wake(&messages(0)), Wake::Noted);
    assert_eq!(steps(&mut schedule, 0), [Step::Start(messages(0))], "the stream that was kept goes on");
    // It ends for a reason of its own before it has looked.
    schedule.handle_ended(&messages(0), Ended::Done, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), [Step::Start(messages(0))]);
}

#[test]
fn a_dead_relay_costs_one_dial_a_time_for_all_its_lanes() {
    let mut schedule = Schedule::default();
    for class in CLASSES {
        schedule.handle_wake(&lane(0, class));
    }
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..20 {
        assert_eq!(steps(&mut schedule, now), [Step::Connect(domain(0))]);
        for class in CLASSES {
            schedule.handle_wake(&lane(0, class));
        }
        assert_eq!(steps(&mut schedule, now), []);
        schedule.handle_dialled(&domain(0), Dialled::Failed, Millis(now), 7);
        assert_eq!(schedule.timers.len(), 1);
        let again = schedule.poll_timeout().expect("it is tried again").0;
        assert_eq!(steps(&mut schedule, again - 1), []);
        waits.push(again - now);
        now = again;
    }
    assert!(waits.iter().all(|wait| (1_000..=600_000).contains(wait)), "{waits:?}");
}

#[test]
fn contact_ends_every_wait_at_once() {
    let mut schedule = at_work();
    schedule.handle_ended(&messages(0), Ended::Failed { progress: false }, Millis(0), 0);
    schedule.handle_wake(&messages(1));
    assert_eq!(steps(&mut schedule, 0), [Step::Connect(domain(1))]);
    schedule.handle_dialled(&domain(1), Dialled::FailedUntil(Millis(99_999)), Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), []);
    schedule.handle_contact(&domain(0));
    assert_eq!(steps(&mut schedule, 0), [Step::Start(messages(0))]);
    schedule.handle_contact(&domain(1));
    assert_eq!(steps(&mut schedule, 0), [Step::Connect(domain(1))]);
    schedule.handle_session(&domain(1), true);
    assert_eq!(steps(&mut schedule, 0), [Step::Start(messages(1))], "it called while it was dialled");
    schedule.handle_dialled(&domain(1), Dialled::Failed, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), []);
    assert_eq!(schedule.load().dialling, 0);
}

#[test]
fn a_refused_lane_waits_by_itself() {
    let mut schedule = at_work();
    schedule.handle_wake(&lane(0, LaneClass::Control));
    assert_eq!(steps(&mut schedule, 0), [Step::Start(lane(0, LaneClass::Control))]);
    schedule.handle_ended(&messages(0), Ended::Failed { progress: false }, Millis(0), 0);
    schedule.handle_ended(&lane(0, LaneClass::Control), Ended::Yielded, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), [Step::Start(lane(0, LaneClass::Control))]);
    assert_eq!(schedule.poll_timeout(), Some(Millis(1_000)));
    assert_eq!(steps(&mut schedule, 1_000), [Step::Start(messages(0))]);
}

#[test]
fn a_relay_that_hangs_up_again_and_again_is_dialled_ever_more_slowly() {
    let mut schedule = at_work();
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..6 {
        schedule.handle_ended(&messages(0), Ended::NoSession { progress: false }, Millis(now), 0);
        if steps(&mut schedule, now) != [Step::Connect(domain(0))] {
            let again = schedule.poll_timeout().expect("it is dialled again").0;
            waits.push(again - now);
            now = again;
            assert_eq!(steps(&mut schedule, now), [Step::Connect(domain(0))]);
        }
        schedule.handle_dialled(&domain(0), Dialled::Reached, Millis(now), 0);
        assert_eq!(steps(&mut schedule, now), [Step::Start(messages(0))]);
    }
    assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 32_000]);
}

#[test]
fn a_lane_begins_another_life_at_once_and_not_again_and_again() {
    let mut schedule = at_work();
    schedule.handle_ended(&messages(0), Ended::NewLife, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), [Step::Start(messages(0))]);
    schedule.handle_ended(&messages(0), Ended::NewLife, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), []);
    assert_eq!(steps(&mut schedule, 2_000), [Step::Start(messages(0))]);
}

#[test]
fn relays_that_failed_leave_room_for_others() {
    let mut schedule = Schedule::new(Bounds { dials: 3, redials: 1, ..Bounds::default() });
    for n in 0..3 {
        schedule.handle_wake(&messages(n));
    }
    assert_eq!(steps(&mut schedule, 0).len(), 3);
    for n in 0..3 {
        schedule.handle_dialled(&domain(n), Dialled::Failed, Millis(0), 0);
    }
    assert_eq!(steps(&mut schedule, 5_000).len(), 1, "one of those that failed");
    schedule.handle_wake(&messages(7));
    schedule.handle_wake(&messages(8));
    let expected = [Step::Connect(domain(7)), Step::Connect(domain(8))];
    assert_eq!(steps(&mut schedule, 5_000), expected, "and those that did not");
}

#[test]
fn who_is_only_greeted_is_called_once() {
    let mut schedule = Schedule::default();
    schedule.handle_want(&domain(0));
    assert_eq!(steps(&mut schedule, 0), [Step::Connect(domain(0))]);
    schedule.handle_dialled(&domain(0), Dialled::Failed, Millis(0), 0);
    assert_eq!((schedule.load(), schedule.poll_timeout()), (Load::default(), None));
}

#[test]
fn classes_take_turns_by_weight() {
    let mut schedule = Schedule::new(Bounds { active: 1, ..Bounds::default() });
    for n in 0..40 {
        for class in CLASSES {
            schedule.handle_wake(&lane(n, class));
        }
        schedule.handle_session(&domain(n), true);
    }
    let mut turns = Vec::new();
    for _ in 0..30 {
        let Some(Step::Start(id)) = schedule.poll(Millis(0)) else { panic!("a place is free") };
        turns.push(id.class.name().chars().next().expect("a name"));
        schedule.handle_look(&id);
        schedule.handle_ended(&id, Ended::Yielded, Millis(0), 0);
    }
    let turns: String = turns.into_iter().collect();
    assert_eq!(turns, "ccccccccmmmmssmccccccccmmmmssm");
}

#[test]
fn too_many_relays_are_woken_later() {
    let mut schedule = Schedule::new(Bounds { peers: 1, ..Bounds::default() });
    assert_eq!(schedule.handle_wake(&messages(0)), Wake::Noted);
    assert_eq!(schedule.handle_wake(&messages(1)), Wake::Crowded);
    assert_eq!(schedule.load().peers, 1);
}

/// What happens to the world.
#[derive(Debug, Clone)]
enum Event {
    Post(usize, usize),
    /// A relay dies, or comes back.
    Alive(usize, bool),
    /// A relay calls.
    Calls(usize),
    /// A stream sends one item.
    Send(usize, usize),
    Fails(usize, usize),
    Pass(u64),
}

const RELAYS: usize = 5;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let relay = 0..RELAYS;
    let event = prop_oneof![
        6 => (relay.clone(), 0..4_usize).prop_map(|(n, class)| Event::Post(n, class)),
        1 => (relay.clone(), any::<bool>()).prop_map(|(n, alive)| Event::Alive(n, alive)),
        1 => relay.clone().prop_map(Event::Calls),
        8 => (relay.clone(), 0..4_usize).prop_map(|(n, class)| Event::Send(n, class)),
        1 => (relay, 0..4_usize).prop_map(|(n, class)| Event::Fails(n, class)),
        4 => (0..5_000_u64).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 0..400)
}

/// Relays that live and die, lanes with items, and the streams that a schedule has started.
struct World {
    schedule: Schedule,
    bounds: Bounds,
    now: u64,
    alive: BTreeSet<usize>,
    items: BTreeMap<LaneId, u64>,
    /// Open streams, and whether each was told to send.
    streams: BTreeMap<LaneId, bool>,
    leaving: BTreeSet<LaneId>,
    dialling: BTreeSet<Domain>,
    dials: u64,
    random: u64,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        Self {
            schedule: Schedule::new(bounds),
            bounds,
            now: 1,
            alive: (0..RELAYS).collect(),
            items: BTreeMap::new(),
            streams: BTreeMap::new(),
            leaving: BTreeSet::new(),
            dialling: BTreeSet::new(),
            dials: 0,
            random: 0,
        }
    }

    fn is_alive(&self, peer: &Domain) -> bool {
        self.alive.iter().any(|n| domain(*n) == *peer)
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random
    }

    fn ended(&mut self, id: &LaneId, ended: Ended) {
        self.streams.remove(id);
        self.leaving.remove(id);
        let random = self.random();
        self.schedule.handle_ended(id, ended, Millis(self.now), random);
    }

    fn turn(&mut self) {
        while let Some(step) = self.schedule.poll(Millis(self.now)) {
            match step {
                Step::Start(id) => drop(self.streams.insert(id, true)),
                Step::Yield(id) => {
                    assert!(self.streams.contains_key(&id), "only a stream can leave");
                    self.leaving.insert(id);
                }
                Step::Connect(peer) => {
                    self.dials += 1;
                    assert!(self.dialling.insert(peer), "one dial at a time");
                }
            }
            let load = self.schedule.load();
            assert!(load.active <= self.bounds.active && load.dialling <= self.bounds.dials);
            assert_eq!(load.dialling, self.dialling.len());
        }
        assert!(self.schedule.load().idle <= self.bounds.idle);
        assert!(self.schedule.load().peers <= RELAYS);
    }

    /// One move of a stream: it looks, sends an item, leaves, or finds that its session is gone.
    fn send(&mut self, id: &LaneId) {
        let Some(active) = self.streams.get(id).copied() else { return };
        if !self.is_alive(&id.peer) {
            return self.ended(id, Ended::NoSession { progress: false });
        }
        if self.leaving.contains(id) {
            let waits = self.items.get(id).is_some_and(|items| *items > 0);
            return self.ended(id, if waits && active { Ended::Yielded } else { Ended::Done });
        }
        if !active {
            return;
        }
        self.schedule.handle_look(id);
        match self.items.get_mut(id) {
            Some(items) if *items > 0 => *items -= 1,
            _ => {
                if self.schedule.handle_caught_up(id) {
                    self.streams.insert(id.clone(), false);
                }
            }
        }
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Post(n, class) => {
                let id = lane(*n, CLASSES[*class]);
                *self.items.entry(id.clone()).or_default() += 1;
                assert_ne!(self.schedule.handle_wake(&id), Wake::Crowded);
            }
            Event::Alive(n, true) => drop(self.alive.insert(*n)),
            Event::Alive(n, false) => drop(self.alive.remove(n)),
            Event::Calls(n) if self.alive.contains(n) => self.schedule.handle_session(&domain(*n), true),
            Event::Calls(_) => {}
            Event::Send(n, class) => self.send(&lane(*n, CLASSES[*class])),
            Event::Fails(n, class) => {
                let id = lane(*n, CLASSES[*class]);
                if self.streams.contains_key(&id) {
                    self.ended(&id, Ended::Failed { progress: false });
                }
            }
            Event::Pass(ms) => {
                self.now += ms;
                self.end_dials();
            }
        }
        self.turn();
    }

    fn end_dials(&mut self) {
        for peer in std::mem::take(&mut self.dialling) {
            let dialled = if self.is_alive(&peer) { Dialled::Reached } else { Dialled::Failed };
            let random = self.random();
            self.schedule.handle_dialled(&peer, dialled, Millis(self.now), random);
        }
    }

    /// Everybody who lives works until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            self.end_dials();
            self.turn();
            let streams: Vec<LaneId> = self.streams.keys().cloned().collect();
            for id in &streams {
                self.send(id);
                self.turn();
            }
            let waits = |(id, items): (&LaneId, &u64)| *items > 0 && self.is_alive(&id.peer);
            if !self.items.iter().any(waits) {
                return;
            }
            self.now += 250;
        }
        panic!("something waits for ever: {:?} of {:?}", self.items, self.schedule);
    }
}

fn narrow() -> Bounds {
    Bounds { active: 2, idle: 1, dials: 2, redials: 1, peers: RELAYS, slice_ms: 1_000 }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_waits_for_ever_for_a_relay_that_lives(events in events()) {
        let mut world = World::new(narrow());
        for event in &events {
            world.step(event);
        }
        world.settle();
    }

    #[test]
    fn dead_relays_hold_no_place_and_delay_nobody(dead in 1..RELAYS) {
        let mut world = World::new(narrow());
        world.alive = (dead..RELAYS).collect();
        for n in 0..RELAYS {
            world.step(&Event::Post(n, 1));
        }
        for _ in 0..(RELAYS * 2) {
            world.step(&Event::Pass(10));
            for n in 0..RELAYS {
                world.step(&Event::Send(n, 1));
                world.step(&Event::Send(n, 1));
                world.step(&Event::Send(n, 1));
            }
            prop_assert!(world.streams.keys().all(|id| world.is_alive(&id.peer)));
        }
        for n in dead..RELAYS {
            prop_assert_eq!(world.items[&messages(n)], 0, "relay {} had its turn", n);
        }
    }

    #[test]
    fn an_endless_backlog_yields_to_whoever_waits(backlogs in 3..RELAYS) {
        let mut world = World::new(narrow());
        for n in 0..backlogs {
            world.items.insert(messages(n), 1_000_000);
            world.step(&Event::Post(n, 1));
            world.step(&Event::Calls(n));
        }
        let mut served = BTreeSet::new();
        for _ in 0..200 {
            served.extend(world.streams.keys().cloned());
            for id in world.streams.keys().cloned().collect::<Vec<_>>() {
                world.send(&id);
            }
            world.step(&Event::Pass(100));
        }
        prop_assert_eq!(served.len(), backlogs);
    }
}
