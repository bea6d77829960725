//! Quotas: how much may wait for one device in one room, and how often somebody may ask for something. Pure.

use std::collections::HashMap;
use std::hash::Hash;

use posthouse_spec::Millis;

/// Most items that wait for one device in one room.
pub const MAX_WAITING_ITEMS: u64 = 50_000;
/// Most bytes that wait for one device in one room.
pub const MAX_WAITING_BYTES: u64 = 256 * 1024 * 1024;

/// What waits in a mailbox, or in one room's part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Items.
    pub items: u64,
    /// Their bodies' bytes.
    pub bytes: u64,
}

impl Backlog {
    /// With one more item.
    pub fn add(&mut self, bytes: u64) {
        self.items += 1;
        self.bytes += bytes;
    }

    /// With one item less.
    pub fn remove(&mut self, bytes: u64) {
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The bound on a [`Backlog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Items.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { items: MAX_WAITING_ITEMS, bytes: MAX_WAITING_BYTES }
    }
}

impl Quota {
    /// Whether one more item fits.
    #[must_use]
    pub fn admits(&self, backlog: Backlog, bytes: u64) -> bool {
        backlog.items < self.items && backlog.bytes.saturating_add(bytes) <= self.bytes
    }
}

/// Messages that may wait for one other relay.
pub const MAX_OUTBOX_ITEMS: u64 = 1_000_000;
/// Their bytes.
pub const MAX_OUTBOX_BYTES: u64 = 4096 * 1024 * 1024;

/// All that is bounded in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// What waits for one device in one room.
    pub mailbox: Quota,
    /// The messages that wait for one other relay.
    pub outbox: Quota,
}

impl Default for Quotas {
    fn default() -> Self {
        let outbox = Quota { items: MAX_OUTBOX_ITEMS, bytes: MAX_OUTBOX_BYTES };
        Self { mailbox: Quota::default(), outbox }
    }
}

/// How often something may be done: at once up to a burst, and then at a steady rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// Milliseconds until one more is allowed.
    pub refill_ms: u64,
}

/// One token bucket for each key, with a bound on how many keys are remembered.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    bound: usize,
    /// When each key's bucket is full again.
    full_at: HashMap<K, Millis>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets that start full. At `bound` keys those that are full again are forgotten.
    #[must_use]
    pub fn new(rate: Rate, bound: usize) -> Self {
        Self { rate, bound, full_at: HashMap::new() }
    }

    /// Takes one token; if there is none, says in how many milliseconds there will be.
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub fn take(&mut self, key: K, now: Millis) -> Result<(), u64> {
        if self.full_at.len() >= self.bound && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full| *full > now);
            if self.full_at.len() >= self.bound {
                return Err(self.rate.refill_ms);
            }
        }
        let full = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        let after = full.after(self.rate.refill_ms);
        let limit = now.after(self.rate.refill_ms * u64::from(self.rate.burst));
        if after > limit {
            return Err(after.0 - limit.0);
        }
        self.full_at.insert(key, after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut buckets = Buckets::new(Rate { burst: 3, refill_ms: 100 }, 2);
        let now = Millis(1_000);
        for _ in 0..3 {
            assert_eq!(buckets.take('a', now), Ok(()));
        }
        assert_eq!(buckets.take('a', now), Err(100));
        assert_eq!(buckets.take('a', Millis(1_100)), Ok(()));
        assert_eq!(buckets.take('a', Millis(1_100)), Err(100));
        assert_eq!(buckets.take('b', Millis(1_100)), Ok(()));
        // The table is full of keys that still count; later they are forgotten.
        assert!(buckets.take('c', Millis(1_100)).is_err());
        assert_eq!(buckets.take('c', Millis(9_000)), Ok(()));
    }

    #[test]
    fn a_quota_bounds_items_and_bytes() {
        let quota = Quota { items: 2, bytes: 100 };
        let mut backlog = Backlog::default();
        backlog.add(60);
        assert!(quota.admits(backlog, 40));
        assert!(!quota.admits(backlog, 41));
        backlog.add(1);
        assert!(!quota.admits(backlog, 1));
        backlog.remove(60);
        assert!(quota.admits(backlog, 99));
    }
}
