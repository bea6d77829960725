//! When to try a relay again: jittered exponential backoff, reset by any sign of life from it.
//!
//! Pure: the time and the random bits come from the caller.

use posthouse_spec::Millis;

/// The wait after the first failure, milliseconds.
pub const FIRST_DELAY_MS: u64 = 1_000;
/// The longest wait, milliseconds: ten minutes.
pub const MAX_DELAY_MS: u64 = 10 * 60 * 1_000;

/// What is remembered of a relay's failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    not_before: Millis,
}

impl Backoff {
    /// Takes note of a failure at `now`, and says when to try again. `random` is any 64 random bits: they spread the
    /// wait over its upper half, so that relays which lost the same peer do not come back to it as one.
    pub fn handle_failure(&mut self, now: Millis, random: u64) -> Millis {
        let ceiling =
            FIRST_DELAY_MS.saturating_mul(1 << self.failures.min(20)).saturating_mul(2).min(MAX_DELAY_MS);
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        self.not_before = now.after(half + random % (half + 1));
        self.not_before
    }

    /// The peer was heard of: whatever failed before, it is worth a try at once.
    pub fn handle_contact(&mut self) {
        *self = Self::default();
    }

    /// The earliest time of the next attempt.
    #[must_use]
    pub fn not_before(&self) -> Millis {
        self.not_before
    }

    /// Whether it is too early for the next attempt. A wait that is longer than any which is ever given is that of a clock
    /// that was set back meanwhile, and over.
    #[must_use]
    pub fn is_waiting(&self, now: Millis) -> bool {
        (1..=MAX_DELAY_MS).contains(&self.not_before.0.saturating_sub(now.0))
    }

    /// Failures since the last contact.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_from_one_second_to_ten_minutes() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..12).map(|_| backoff.handle_failure(Millis(0), 0).0).collect();
        assert_eq!(&waits[..6], &[1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
        assert_eq!(waits[11], MAX_DELAY_MS / 2);
    }

    #[test]
    fn contact_starts_over() {
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.handle_failure(Millis(0), u64::MAX);
        }
        backoff.handle_contact();
        assert_eq!(backoff.not_before(), Millis(0));
        assert_eq!(backoff.handle_failure(Millis(5_000), 0), Millis(6_000));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_make_the_wait_longer() {
        let mut backoff = Backoff::default();
        assert!(!backoff.is_waiting(Millis(0)));
        let until = backoff.handle_failure(Millis(90 * 60 * 1_000), 0);
        assert!(backoff.is_waiting(Millis(until.0 - 1)));
        assert!(!backoff.is_waiting(until));
        assert!(!backoff.is_waiting(Millis(30 * 60 * 1_000)));
    }

    proptest! {
        #[test]
        fn every_wait_is_within_the_bounds(now in 0..u64::MAX / 2, randoms in proptest::collection::vec(any::<u64>(), 1..40)) {
            let mut backoff = Backoff::default();
            for random in randoms {
                let wait = backoff.handle_failure(Millis(now), random).0 - now;
                prop_assert!((FIRST_DELAY_MS..=MAX_DELAY_MS).contains(&wait));
            }
        }
    }
}
