use super::*;

const MINUTE: u64 = 60_000;
const LIFE: Incarnation = Incarnation::new([1; 16]);

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn lane(class: LaneClass, oldest: u64, next: u64) -> Lane {
    Lane { class, incarnation: LIFE, oldest: LaneSeq(oldest), next: LaneSeq(next) }
}

fn left(class: LaneClass, next: u64, holder: &str) -> LeftMark {
    LeftMark {
        class,
        incarnation: LIFE,
        next: LaneSeq(next),
        holder: domain(holder),
        until: Millis(1_000 * MINUTE),
    }
}

fn leave(class: LaneClass, from: u64, holder: &str) -> Step {
    Step::Leave { class, from: LaneSeq(from), holder: domain(holder) }
}

/// A relay of a.example from whose sight b.example went at time 0, with five minutes of patience.
struct Story {
    planner: Planner,
    holders: Vec<Domain>,
}

impl Story {
    fn new(holders: &[&str]) -> Self {
        let mut planner = Planner::new(domain("a.example"), Patience::new(5 * MINUTE));
        planner.handle_away(&[domain("b.example")].into(), Millis(0));
        Self { planner, holders: holders.iter().map(|name| domain(name)).collect() }
    }

    fn step(&self, lanes: &[Lane], left: &[LeftMark], now: Millis) -> Step {
        let permitted = |holder: &Domain| *holder != domain("denied.example");
        self.planner.step(&domain("b.example"), &self.holders, permitted, lanes, left, now)
    }

    fn answer(&mut self, holder: &str, answer: Answer, now: Millis) -> bool {
        self.planner.handle_answer(&domain("b.example"), &domain(holder), answer, now)
    }
}

#[test]
fn only_a_relay_that_was_away_for_long_is_due() {
    let mut story = Story::new(&["h.example"]);
    assert!(story.planner.due(Millis(5 * MINUTE - 1)).is_empty());
    assert_eq!(story.planner.due(Millis(5 * MINUTE)), [domain("b.example")]);
    // It was back in between: its time begins anew.
    story.planner.handle_away(&BTreeSet::new(), Millis(5 * MINUTE));
    story.planner.handle_away(&[domain("b.example")].into(), Millis(6 * MINUTE));
    assert!(story.planner.due(Millis(10 * MINUTE)).is_empty());
    assert_eq!(story.planner.due(Millis(11 * MINUTE)).len(), 1);
}

#[test]
fn who_is_away_longest_comes_first_and_new_items_gather() {
    let mut story = Story::new(&["h.example"]);
    story.planner.handle_away(&[domain("b.example"), domain("0.example")].into(), Millis(MINUTE));
    let now = Millis(10 * MINUTE);
    assert_eq!(story.planner.due(now), [domain("b.example"), domain("0.example")]);
    story.planner.handle_done(&domain("b.example"), now);
    assert_eq!(story.planner.due(now), [domain("0.example")]);
    assert_eq!(story.planner.due(now.after(30_000)).len(), 2);
}

#[test]
fn control_goes_before_messages_and_nothing_twice() {
    let story = Story::new(&["h.example"]);
    let lanes =
        [lane(LaneClass::Messages, 10, 14), lane(LaneClass::Control, 3, 5), lane(LaneClass::Slots, 1, 9)];
    let now = Millis(5 * MINUTE);
    assert_eq!(story.step(&lanes, &[], now), leave(LaneClass::Control, 3, "h.example"));
    let control = left(LaneClass::Control, 5, "h.example");
    assert_eq!(
        story.step(&lanes, std::slice::from_ref(&control), now),
        leave(LaneClass::Messages, 10, "h.example")
    );
    let part = left(LaneClass::Messages, 12, "h.example");
    let both = [control.clone(), part];
    assert_eq!(story.step(&lanes, &both, now), leave(LaneClass::Messages, 12, "h.example"));
    let all = [control, left(LaneClass::Messages, 14, "h.example")];
    assert_eq!(story.step(&lanes, &all, now), Step::Done);
}

#[test]
fn what_the_destination_has_taken_meanwhile_is_not_left() {
    let story = Story::new(&["h.example"]);
    let lanes = [lane(LaneClass::Messages, 20, 22)];
    let before = [left(LaneClass::Messages, 12, "h.example")];
    assert_eq!(story.step(&lanes, &before, Millis(0)), leave(LaneClass::Messages, 20, "h.example"));
}

#[test]
fn what_is_held_no_longer_or_where_nobody_will_look_or_of_another_life_is_left_again() {
    let story = Story::new(&["h.example"]);
    let lanes = [lane(LaneClass::Messages, 10, 14)];
    let again = leave(LaneClass::Messages, 10, "h.example");
    let mark = left(LaneClass::Messages, 14, "h.example");
    assert_eq!(story.step(&lanes, std::slice::from_ref(&mark), Millis(999 * MINUTE)), Step::Done);
    assert_eq!(story.step(&lanes, std::slice::from_ref(&mark), Millis(1_000 * MINUTE)), again);
    let elsewhere = LeftMark { holder: domain("gone.example"), ..mark.clone() };
    assert_eq!(story.step(&lanes, &[elsewhere], Millis(0)), again);
    let other_life = LeftMark { incarnation: Incarnation::new([2; 16]), ..mark };
    assert_eq!(story.step(&lanes, &[other_life], Millis(0)), again);
}

#[test]
fn a_holder_is_never_the_relay_itself_or_the_destination_or_one_that_is_denied() {
    let lanes = [lane(LaneClass::Messages, 1, 2)];
    let story = Story::new(&["a.example", "b.example", "denied.example", "h.example"]);
    assert_eq!(story.step(&lanes, &[], Millis(0)), leave(LaneClass::Messages, 1, "h.example"));
    let nobody = Story::new(&["a.example", "denied.example"]);
    assert_eq!(nobody.step(&lanes, &[], Millis(0)), Step::NoHolder);
}

#[test]
fn a_holder_that_refuses_is_left_alone_for_a_time_and_the_next_one_is_asked() {
    let mut story = Story::new(&["h.example", "i.example"]);
    let lanes = [lane(LaneClass::Messages, 1, 2)];
    assert!(story.answer("h.example", Answer::Full, Millis(0)));
    assert_eq!(story.step(&lanes, &[], Millis(0)), leave(LaneClass::Messages, 1, "i.example"));
    assert!(story.answer("i.example", Answer::Unreached, Millis(0)));
    assert_eq!(story.step(&lanes, &[], Millis(0)), Step::NoHolder);
    assert_eq!(story.step(&lanes, &[], Millis(MINUTE)), leave(LaneClass::Messages, 1, "i.example"));
    assert_eq!(story.step(&lanes, &[], Millis(10 * MINUTE)), leave(LaneClass::Messages, 1, "h.example"));
    assert!(!story.answer("h.example", Answer::Held, Millis(0)), "that is no news");
    assert_eq!(story.step(&lanes, &[], Millis(0)), leave(LaneClass::Messages, 1, "h.example"));
}

#[test]
fn nothing_is_left_for_whoever_is_back() {
    let mut story = Story::new(&["h.example"]);
    story.planner.handle_away(&BTreeSet::new(), Millis(MINUTE));
    let lanes = [lane(LaneClass::Messages, 1, 2)];
    assert_eq!(story.step(&lanes, &[], Millis(MINUTE)), Step::Done);
}
