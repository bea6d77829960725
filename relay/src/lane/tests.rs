//! Laws of the lane's rules.

use posthouse_spec::{Incarnation, LaneSeq, Millis};

use super::*;

fn life(n: u8) -> Incarnation {
    Incarnation::new([n; 16])
}

#[test]
fn numbers_have_no_gaps_and_a_prefix_is_acknowledged() {
    let mut lane = Ledger::begin(life(1));
    let given: Vec<u64> = (0..4).map(|_| lane.number().0).collect();
    assert_eq!(given, [1, 2, 3, 4]);
    let advanced = Acknowledged::Advanced { from: LaneSeq(1), to: LaneSeq(3) };
    assert_eq!(lane.acknowledge(life(1), LaneSeq(3)), advanced);
    assert_eq!(lane.acknowledge(life(1), LaneSeq(3)), Acknowledged::Repeat);
    assert_eq!(lane.acknowledge(life(1), LaneSeq(2)), Acknowledged::Repeat);
    assert_eq!(lane.waiting(), 2);
}

#[test]
fn what_another_life_or_nobody_sent_is_not_acknowledged() {
    let mut lane = Ledger::begin(life(1));
    lane.number();
    assert_eq!(lane.acknowledge(life(2), LaneSeq(2)), Acknowledged::Stray);
    assert_eq!(lane.acknowledge(life(1), LaneSeq(3)), Acknowledged::Stray);
    assert_eq!(lane.waiting(), 1);
}

#[test]
fn another_life_begins_with_what_waits() {
    let mut lane = Ledger::begin(life(1));
    for _ in 0..10 {
        lane.number();
    }
    lane.acknowledge(life(1), LaneSeq(5));
    assert_eq!(lane.begin_life(life(2)), 4);
    assert_eq!(lane, Ledger { next: LaneSeq(7), ..Ledger::begin(life(2)) });
    assert_eq!(lane.expire(LaneSeq(2), life(3)), Some(2));
    assert_eq!((lane.next, lane.acked, lane.handed), (LaneSeq(5), LaneSeq(1), LaneSeq(1)));
    assert_eq!(lane.expire(LaneSeq(0), life(4)), None, "nothing that waits is so old");
    assert_eq!(lane.expire(LaneSeq(99), life(4)), Some(4));
    assert_eq!(lane.waiting(), 0);
}

#[test]
fn after_a_start_only_new_numbers_are_known_to_be_unsent() {
    let before = Ledger { next: LaneSeq(50), acked: LaneSeq(45), sending: true, ..Ledger::begin(life(1)) };
    let mut lane = before.restarted();
    lane.number();
    // Whoever sends nothing may be started as often as they like.
    lane = lane.restarted();
    assert_eq!(lane.handed, LaneSeq(50));
    lane.hand_out(LaneSeq(51));
    lane.hand_out(LaneSeq(46));
    assert_eq!(lane.handed, LaneSeq(51));
    lane.number();
    lane.number();
    assert_eq!(lane.restarted().handed, lane.next);
}

#[test]
fn a_run_is_taken_from_the_cursor_on() {
    let run = |skip, next| Arrival::Run { skip, next: LaneSeq(next) };
    assert_eq!(arrive(LaneSeq(3), LaneSeq(3), 2), run(0, 5));
    assert_eq!(arrive(LaneSeq(3), LaneSeq(1), 4), run(2, 5));
    assert_eq!(arrive(LaneSeq(9), LaneSeq(1), 4), run(4, 9));
    assert_eq!(arrive(LaneSeq(3), LaneSeq(4), 1), Arrival::Gap);
    assert_eq!(pass(LaneSeq(3), LaneSeq(3)), Pass::First);
    assert_eq!(pass(LaneSeq(3), LaneSeq(2)), Pass::Repeat);
    assert_eq!(pass(LaneSeq(3), LaneSeq(4)), Pass::Ahead);
    assert_eq!(resume_at(LaneSeq(9), Some(LaneSeq(4))), LaneSeq(4));
    assert_eq!(resume_at(LaneSeq(9), None), LaneSeq(9));
}

#[test]
fn only_the_newest_lives_are_kept() {
    let lives: Vec<_> = (0..10).map(|n| (life(n), Millis(u64::from(n)))).collect();
    assert_eq!(surplus(&lives[..8]), []);
    assert_eq!(surplus(&lives), [life(1), life(0)]);
}
