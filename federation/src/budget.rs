//! How much one relay may have of another: token buckets for what comes on its lanes and for what it asks.
//!
//! A bucket holds a second's worth or more and fills evenly. What comes on a lane is paid for once it has been read: where the
//! bucket is overdrawn the receiver reads on later, the sender's credit runs out, and nothing is lost and no rule broken.
//! A question that finds an empty bucket waits for its turn, as long as no more wait than an honest relay ever asks at once;
//! what is beyond that is refused ([`PeerRule::TooFast`](posthouse_spec::peer::hello::PeerRule::TooFast)).
//!
//! Pure: the time comes from the caller.

use posthouse_spec::Millis;
use posthouse_spec::envelope::LaneClass;

/// Messages that one relay may bring in a second; far above what a relay can store.
pub const MESSAGES_PER_SECOND: u64 = 100_000;
/// Bytes that it may bring on each of its lanes in a second.
pub const BYTES_PER_SECOND: u64 = 256 * 1024 * 1024;
/// Questions of each kind that it may put in a second.
pub const REQUESTS_PER_SECOND: u64 = 200;
/// Connections that one address may make in a minute.
pub const CONNECTIONS_PER_MINUTE: u64 = 120;
/// Commits, Welcomes and the like in a second.
const CONTROL_PER_SECOND: u64 = 2_000;
/// Slots in a second, and things on the media lane.
const SLOTS_PER_SECOND: u64 = 20_000;
const MEDIA_PER_SECOND: u64 = 2_000;
/// Envelopes on one lane in a second, whatever is in them: each has a signature that is checked.
const ENVELOPES_PER_SECOND: u64 = 4_000;
/// Hellos in a second, and how many at once.
const HELLOS_PER_SECOND: u64 = 20;
const HELLO_BURST: u64 = 100;
/// Questions that may wait for their turn: a relay asks 16 at once.
const WAITING_REQUESTS: u64 = 20;
/// Tokens are counted in thousandths: at one token a second, a millisecond fills one.
const PARTS: u64 = 1_000;

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many more each second allows.
    pub per_second: u64,
    /// How many at once.
    pub burst: u64,
}

impl Rate {
    const fn of(per_second: u64, burst: u64) -> Self {
        Self { per_second, burst }
    }
}

/// A token bucket that may be overdrawn. It starts full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// What was taken and has not been filled up again, in parts of which a token has [`PARTS`].
    used: u64,
    at: Millis,
}

impl Bucket {
    /// Takes `tokens` if they are there; otherwise says in how many milliseconds they will be.
    ///
    /// # Errors
    /// The milliseconds.
    pub fn take(&mut self, rate: Rate, tokens: u64, now: Millis) -> Result<(), u64> {
        self.fill(rate, now);
        let used = self.used.saturating_add(tokens.saturating_mul(PARTS));
        match Self::wait(rate, used) {
            0 => {
                self.used = used;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Takes `tokens` whether they are there or not, and says in how many milliseconds the bucket is overdrawn no more.
    pub fn charge(&mut self, rate: Rate, tokens: u64, now: Millis) -> u64 {
        self.fill(rate, now);
        self.used = self.used.saturating_add(tokens.saturating_mul(PARTS));
        Self::wait(rate, self.used)
    }

    /// Whether it is as full as it can be, so that nothing need be remembered of it.
    #[must_use]
    pub fn is_full(&self, rate: Rate, now: Millis) -> bool {
        let mut later = *self;
        later.fill(rate, now);
        later.used == 0
    }

    fn fill(&mut self, rate: Rate, now: Millis) {
        // A clock that was set back fills nothing, and goes on from there.
        let gained = now.0.saturating_sub(self.at.0).saturating_mul(rate.per_second);
        self.used = self.used.saturating_sub(gained);
        self.at = now;
    }

    fn wait(rate: Rate, used: u64) -> u64 {
        used.saturating_sub(rate.burst.saturating_mul(PARTS)).div_ceil(rate.per_second.max(1))
    }
}

/// What the operator may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerLimits {
    /// Messages that one relay may bring in a second.
    pub messages_per_second: u64,
    /// Bytes that it may bring on each lane in a second.
    pub bytes_per_second: u64,
    /// Questions of each kind that it may put in a second; twice as many at once.
    pub requests_per_second: u64,
    /// Connections that one public address may make in a minute, and at once.
    pub connections_per_minute: u64,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            messages_per_second: MESSAGES_PER_SECOND,
            bytes_per_second: BYTES_PER_SECOND,
            requests_per_second: REQUESTS_PER_SECOND,
            connections_per_minute: CONNECTIONS_PER_MINUTE,
        }
    }
}

impl PeerLimits {
    fn items(&self, class: LaneClass) -> Rate {
        let per_second = match class {
            LaneClass::Control => CONTROL_PER_SECOND,
            LaneClass::Messages => self.messages_per_second,
            LaneClass::Slots => SLOTS_PER_SECOND,
            LaneClass::Media => MEDIA_PER_SECOND,
        };
        Rate::of(per_second, per_second)
    }

    fn requests(&self, asked: Asked) -> Rate {
        match asked {
            Asked::Hello => Rate::of(HELLOS_PER_SECOND, HELLO_BURST),
            Asked::Room | Asked::Keys | Asked::Mailbag => {
                Rate::of(self.requests_per_second, self.requests_per_second.saturating_mul(2))
            }
        }
    }
}

/// What a relay asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To be known.
    Hello,
    /// About a room.
    Room,
    /// About accounts and key packages.
    Keys,
    /// To hold mailbags, or for those that are held.
    Mailbag,
}

/// What one relay has left. Its size is fixed.
#[derive(Debug, Clone)]
pub struct Budget {
    limits: PeerLimits,
    lanes: [LaneBuckets; 4],
    asked: [Bucket; 4],
}

#[derive(Debug, Clone, Copy, Default)]
struct LaneBuckets {
    items: Bucket,
    bytes: Bucket,
    envelopes: Bucket,
}

impl Budget {
    /// A full one.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        Self { limits, lanes: Default::default(), asked: Default::default() }
    }

    /// An envelope with so many items and bytes has come on a lane: in how many milliseconds the next one may be read.
    pub fn handle_envelope(&mut self, class: LaneClass, items: u64, bytes: u64, now: Millis) -> u64 {
        let of_bytes = Rate::of(self.limits.bytes_per_second, self.limits.bytes_per_second);
        let of_envelopes = Rate::of(ENVELOPES_PER_SECOND, ENVELOPES_PER_SECOND);
        let lane = match class {
            LaneClass::Control => &mut self.lanes[0],
            LaneClass::Messages => &mut self.lanes[1],
            LaneClass::Slots => &mut self.lanes[2],
            LaneClass::Media => &mut self.lanes[3],
        };
        let items = lane.items.charge(self.limits.items(class), items, now);
        let bytes = lane.bytes.charge(of_bytes, bytes, now);
        items.max(bytes).max(lane.envelopes.charge(of_envelopes, 1, now))
    }

    /// A question has come: in how many milliseconds it may be answered.
    ///
    /// # Errors
    /// More wait than an honest relay asks: in how many milliseconds it may be put again.
    pub fn handle_question(&mut self, asked: Asked, now: Millis) -> Result<u64, u64> {
        let rate = self.limits.requests(asked);
        let (bucket, waiting) = match asked {
            Asked::Hello => (&mut self.asked[0], 0),
            Asked::Room => (&mut self.asked[1], WAITING_REQUESTS),
            Asked::Keys => (&mut self.asked[2], WAITING_REQUESTS),
            Asked::Mailbag => (&mut self.asked[3], WAITING_REQUESTS),
        };
        bucket.take(Rate { burst: rate.burst.saturating_add(waiting), ..rate }, 1, now)?;
        Ok(bucket.charge(rate, 0, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = Millis(1_000_000);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (mut bucket, rate) = (Bucket::default(), Rate::of(10, 3));
        assert!((0..3).all(|_| bucket.take(rate, 1, NOW).is_ok()));
        assert_eq!(bucket.take(rate, 1, NOW), Err(100));
        assert_eq!(bucket.take(rate, 1, NOW.after(99)), Err(1));
        assert_eq!(bucket.take(rate, 1, NOW.after(100)), Ok(()));
        assert_eq!(bucket.charge(rate, 20, NOW.after(100)), 2_000, "overdrawn by two seconds' worth");
        assert!(!bucket.is_full(rate, NOW.after(2_000)) && bucket.is_full(rate, NOW.after(2_400)));
    }

    #[test]
    fn honest_load_never_waits() {
        let mut budget = Budget::new(PeerLimits::default());
        // Far above what was ever measured of one relay: 64,000 messages and 64 MiB a second, for a minute.
        let waits = (0..60_000_u64)
            .step_by(4)
            .map(|ms| budget.handle_envelope(LaneClass::Messages, 256, 256 * 1024, NOW.after(ms)));
        assert_eq!(waits.max(), Some(0));
    }

    #[test]
    fn a_lane_that_brings_too_much_is_read_later_and_holds_up_no_other() {
        let mut budget = Budget::new(PeerLimits { messages_per_second: 1_000, ..PeerLimits::default() });
        assert_eq!(budget.handle_envelope(LaneClass::Messages, 1_000, 1, NOW), 0);
        assert_eq!(budget.handle_envelope(LaneClass::Messages, 500, 1, NOW), 500);
        assert_eq!(budget.handle_envelope(LaneClass::Control, 500, 1, NOW), 0);
        assert_eq!(budget.handle_envelope(LaneClass::Messages, 0, 1, NOW.after(500)), 0);
    }

    #[test]
    fn who_asks_as_an_honest_relay_does_waits_and_who_asks_more_is_refused() {
        let mut budget = Budget::new(PeerLimits { requests_per_second: 100, ..PeerLimits::default() });
        for _ in 0..200 {
            assert_eq!(budget.handle_question(Asked::Room, NOW), Ok(0));
        }
        for nth in 1..=WAITING_REQUESTS {
            assert_eq!(budget.handle_question(Asked::Room, NOW), Ok(nth * 10));
        }
        assert_eq!(budget.handle_question(Asked::Room, NOW), Err(10));
        assert_eq!(budget.handle_question(Asked::Keys, NOW), Ok(0), "each kind has its own");
        assert_eq!(budget.handle_question(Asked::Room, NOW.after(10)), Ok(WAITING_REQUESTS * 10));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_burst_and_the_rate(steps in proptest::collection::vec((0..50_u64, 1..20_u64), 1..200)) {
            let (mut bucket, rate, mut now, mut got) = (Bucket::default(), Rate::of(40, 25), NOW, 0);
            for (wait, tokens) in steps {
                now = now.after(wait);
                if bucket.take(rate, tokens, now).is_ok() {
                    got += tokens;
                }
                prop_assert!(got * 1_000 <= 25_000 + (now.0 - NOW.0) * 40);
            }
        }

        #[test]
        fn clocks_that_jump_break_nothing(times in proptest::collection::vec(any::<u64>(), 1..50)) {
            let (mut bucket, rate) = (Bucket::default(), Rate::of(u64::MAX, 1));
            for at in times {
                bucket.charge(rate, at, Millis(at));
                let _ = bucket.take(rate, at, Millis(at));
            }
        }
    }
}
