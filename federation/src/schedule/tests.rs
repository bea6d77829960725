//! What the schedule does in a case of each kind.

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};

use super::*;
use crate::host::LaneId;

pub(super) const CLASSES: [LaneClass; 4] =
    [LaneClass::Control, LaneClass::Messages, LaneClass::Slots, LaneClass::Media];

pub(super) fn domain(n: usize) -> Domain {
    format!("r{n}.example").parse().expect("a domain of the test")
}

pub(super) fn lane(n: usize, class: LaneClass) -> LaneId {
    LaneId { peer: domain(n), class }
}

pub(super) fn messages(n: usize) -> LaneId {
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
fn a_call_that_found_no_room_is_made_later_and_nobody_is_blamed() {
    let mut schedule = Schedule::new(Bounds { dials: 1, redials: 0, ..Bounds::default() });
    schedule.handle_want(&domain(0));
    assert_eq!(steps(&mut schedule, 0), [Step::Connect(domain(0))]);
    schedule.handle_dialled(&domain(0), Dialled::Crowded, Millis(0), 0);
    assert_eq!(steps(&mut schedule, 0), []);
    let again = schedule.poll_timeout().expect("it is still to be called").0;
    // There is no room for redials: it is called as one that has not failed.
    assert_eq!(steps(&mut schedule, again), [Step::Connect(domain(0))]);
    schedule.handle_dialled(&domain(0), Dialled::Reached, Millis(again), 0);
    assert_eq!((schedule.load().peers, schedule.poll_timeout()), (0, None));
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
