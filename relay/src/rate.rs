//! Token buckets for what strangers may ask: pure, and bounded however many strangers there are.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use posthouse_spec::Millis;

/// Most buckets that one limit keeps; above it, full ones are forgotten first.
const MAX_BUCKETS: usize = 16_384;
/// A minute, milliseconds.
const MINUTE_MS: u64 = 60_000;

/// How often each key may do something: a minute's worth at once, then evenly.
#[derive(Debug)]
pub struct Limit<K> {
    per_minute: u32,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// In parts of which a token has [`MINUTE_MS`]: a millisecond fills as many as there are tokens a minute, exactly.
    parts: u64,
    at: Millis,
}

impl<K: Eq + Hash> Limit<K> {
    /// A limit of so many a minute.
    #[must_use]
    pub fn per_minute(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one token of `key`; where there is none, says in how many milliseconds there will be.
    ///
    /// # Errors
    /// The wait, milliseconds.
    pub fn take(&self, key: K, now: Millis) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.full());
            if buckets.len() >= MAX_BUCKETS {
                // So many at once is an attack: strangers wait until some bucket is full again.
                return Err(MINUTE_MS);
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { parts: self.full(), at: now });
        bucket.parts = self.filled(bucket, now);
        bucket.at = now;
        if bucket.parts >= MINUTE_MS {
            bucket.parts -= MINUTE_MS;
            return Ok(());
        }
        Err((MINUTE_MS - bucket.parts).div_ceil(u64::from(self.per_minute.max(1))))
    }

    fn full(&self) -> u64 {
        u64::from(self.per_minute) * MINUTE_MS
    }

    fn filled(&self, bucket: &Bucket, now: Millis) -> u64 {
        let gained = now.0.saturating_sub(bucket.at.0).saturating_mul(u64::from(self.per_minute));
        bucket.parts.saturating_add(gained).min(self.full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_passes_and_then_one_at_a_time() {
        let limit = Limit::per_minute(3);
        let now = Millis(1_000_000);
        assert!((0..3).all(|_| limit.take("a", now).is_ok()));
        assert_eq!(limit.take("a", now), Err(20_000));
        assert!(limit.take("b", now).is_ok(), "another key has its own bucket");
        assert_eq!(limit.take("a", now.after(19_999)), Err(1));
        assert!(limit.take("a", now.after(20_000)).is_ok());
    }

    #[test]
    fn the_map_is_bounded_and_forgets_the_idle() {
        let limit = Limit::per_minute(1);
        for key in 0..MAX_BUCKETS {
            assert!(limit.take(key, Millis(0)).is_ok());
        }
        assert_eq!(limit.take(MAX_BUCKETS, Millis(0)), Err(MINUTE_MS));
        assert!(limit.take(MAX_BUCKETS, Millis(MINUTE_MS)).is_ok());
    }
}
