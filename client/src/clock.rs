//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use posthouse_spec::Millis;

/// The time now. A clock before 1970 reads as 1970.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
