//! Following messages from their sender to their receiver: latency, and whether each came once and in order.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// What became of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Messages that arrived.
    pub(crate) delivered: u64,
    /// Messages that were sent and did not arrive.
    pub(crate) lost: u64,
    /// Arrivals of a message that had arrived before.
    pub(crate) duplicated: u64,
    /// Messages that arrived behind a later one.
    pub(crate) reordered: u64,
    /// How long those took that arrived while it was measured.
    pub(crate) latencies: Vec<Duration>,
}

/// The latency that so many of 100 keep within, milliseconds.
pub(crate) fn percentile_ms(latencies: &mut [Duration], percent: usize) -> Option<f64> {
    let rank = (latencies.len() * percent).div_ceil(100).max(1) - 1;
    if rank >= latencies.len() {
        return None;
    }
    let (_, latency, _) = latencies.select_nth_unstable(rank);
    Some(latency.as_secs_f64() * 1000.0)
}

/// A figure with so many digits behind the point: more would claim a precision that no run has.
pub(crate) fn rounded(value: f64, digits: i32) -> Option<f64> {
    let scale = 10f64.powi(digits);
    value.is_finite().then(|| (value * scale).round() / scale)
}

impl Tally {
    /// Adds what another one counted.
    pub(crate) fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.latencies.extend(other.latencies);
    }

    /// The latency that so many of 100 keep within, milliseconds.
    pub(crate) fn percentile_ms(&mut self, percent: usize) -> Option<f64> {
        percentile_ms(&mut self.latencies, percent)
    }
}

/// One sender's messages on their way to one receiver.
///
/// The sealed bodies were made in advance and are sent round and round: a relay cannot tell, and the receiver knows each
/// by its bytes. There must be more than twice as many as are ever under way, so that one that is missing or comes twice
/// is not taken for its namesake of another round.
#[derive(Debug)]
pub(crate) struct Track {
    bodies: Vec<Bytes>,
    sent_at: Vec<Instant>,
    sent: u64,
    /// The message that ought to come next, counted from 0.
    next: u64,
    missing: BTreeSet<u64>,
    tally: Tally,
}

/// A body came that this sender did not send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stranger;

impl Track {
    /// Follows messages with these bodies.
    pub(crate) fn new(bodies: Vec<Bytes>) -> Self {
        let sent_at = vec![Instant::now(); bodies.len()];
        Self { bodies, sent_at, sent: 0, next: 0, missing: BTreeSet::new(), tally: Tally::default() }
    }

    /// The body to send next; its time starts to run.
    pub(crate) fn send(&mut self, now: Instant) -> Bytes {
        let place = self.place(self.sent);
        self.sent_at[place] = now;
        self.sent += 1;
        self.bodies[place].clone()
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many are under way.
    pub(crate) fn outstanding(&self) -> u64 {
        self.sent - self.tally.delivered
    }

    /// A message arrived; where it is new, says how long it took.
    pub(crate) fn arrive(&mut self, body: &[u8], now: Instant) -> Result<Option<Duration>, Stranger> {
        let mut number = self.next;
        if self.bodies[self.place(number)] != body {
            let place = self.bodies.iter().position(|known| known == body).ok_or(Stranger)?;
            number = self.ahead(place);
        }
        if number >= self.sent {
            return self.arrive_again(number, now);
        }
        // What was jumped over may still come, late.
        self.missing.extend(self.next..number);
        self.next = number + 1;
        Ok(Some(self.deliver(number, now)))
    }

    /// The sending has ended: what is missing now is lost.
    pub(crate) fn finish(mut self) -> Tally {
        self.tally.lost = self.outstanding();
        self.tally
    }

    /// Notes a latency that belongs to what is measured.
    pub(crate) fn measured(&mut self, latency: Duration) {
        self.tally.latencies.push(latency);
    }

    fn arrive_again(&mut self, number: u64, now: Instant) -> Result<Option<Duration>, Stranger> {
        // Nothing so far ahead was sent, so it is the one of the round before, if there was one.
        let number = number.checked_sub(self.bodies.len() as u64).ok_or(Stranger)?;
        if self.missing.remove(&number) {
            self.tally.reordered += 1;
            return Ok(Some(self.deliver(number, now)));
        }
        self.tally.duplicated += 1;
        Ok(None)
    }

    fn deliver(&mut self, number: u64, now: Instant) -> Duration {
        self.tally.delivered += 1;
        now.saturating_duration_since(self.sent_at[self.place(number)])
    }

    fn place(&self, number: u64) -> usize {
        (number % self.bodies.len() as u64) as usize
    }

    /// The first message from the next one on whose body stands at `place`.
    fn ahead(&self, place: usize) -> u64 {
        let round = self.bodies.len() as u64;
        self.next + (place as u64 + round - self.next % round) % round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(bodies: u8) -> Track {
        Track::new((0..bodies).map(|body| Bytes::from(vec![body])).collect())
    }

    fn run(track: &mut Track, arrivals: &[u8]) {
        for body in arrivals {
            track.arrive(&[*body], Instant::now()).unwrap();
        }
    }

    fn send(track: &mut Track, count: u64) {
        for _ in 0..count {
            track.send(Instant::now());
        }
    }

    #[test]
    fn in_order_over_several_rounds_nothing_is_amiss() {
        let mut track = track(4);
        for round in 0..10u8 {
            send(&mut track, 1);
            run(&mut track, &[round % 4]);
        }
        assert_eq!(track.finish(), Tally { delivered: 10, ..Tally::default() });
    }

    #[test]
    fn what_does_not_come_is_lost() {
        let mut track = track(8);
        send(&mut track, 3);
        run(&mut track, &[0, 2]);
        assert_eq!(track.outstanding(), 1);
        let tally = track.finish();
        assert_eq!((tally.delivered, tally.lost, tally.reordered), (2, 1, 0));
    }

    #[test]
    fn what_comes_late_is_counted_once() {
        let mut track = track(8);
        send(&mut track, 3);
        run(&mut track, &[0, 2, 1]);
        let tally = track.finish();
        assert_eq!((tally.delivered, tally.lost, tally.reordered, tally.duplicated), (3, 0, 1, 0));
    }

    #[test]
    fn what_comes_twice_is_a_duplicate_in_the_first_round_and_later() {
        let mut track = track(4);
        send(&mut track, 2);
        run(&mut track, &[0, 1, 1, 0]);
        send(&mut track, 3);
        run(&mut track, &[2, 3, 0, 0]);
        let tally = track.finish();
        assert_eq!((tally.delivered, tally.duplicated, tally.lost), (5, 3, 0));
    }

    #[test]
    fn what_nobody_sent_is_a_stranger() {
        let mut track = track(4);
        send(&mut track, 1);
        assert_eq!(track.arrive(&[9], Instant::now()), Err(Stranger));
        assert_eq!(track.arrive(&[2], Instant::now()), Err(Stranger));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut tally =
            Tally { latencies: (1..=100).rev().map(Duration::from_millis).collect(), ..Tally::default() };
        assert_eq!(tally.percentile_ms(50), Some(50.0));
        assert_eq!(tally.percentile_ms(99), Some(99.0));
        assert_eq!(Tally::default().percentile_ms(50), None);
    }
}
