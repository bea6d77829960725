//! Whether to try again, and how long to wait before that: longer each time, and never the same for two clients.

use std::time::Duration;

use posthouse_spec::client::Refusal;

use crate::error::ClientError;

/// A growing wait.
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Between connections: 250 ms to 30 s.
    pub(super) fn connection() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(30), failures: 0 }
    }

    /// Between passes over work that failed for now: 1 s to 30 s.
    pub(super) fn work() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(30), failures: 0 }
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed once more: the next wait, with its jitter from the thread's randomness.
    pub(super) fn next(&mut self) -> Duration {
        let wait = wait(self.first, self.longest, self.failures, rand::random());
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

/// Half of the doubled wait is certain, the other half is chance, so that clients that lost one relay at one moment do
/// not come back at one moment.
fn wait(first: Duration, longest: Duration, failures: u32, chance: u16) -> Duration {
    let full = first.saturating_mul(1 << failures.min(16)).min(longest);
    full.mul_f64(0.5 + f64::from(chance) / f64::from(u16::MAX) / 2.0)
}

/// Whether connecting again would meet the same refusal.
pub(super) fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::Vault(_) | ClientError::OtherRelay { .. } | ClientError::UntrustedRelay { .. } => true,
        ClientError::Refused { reason, .. } => matches!(
            reason,
            Refusal::RolledBack
                | Refusal::Superseded
                | Refusal::Version
                | Refusal::UnknownAccount
                | Refusal::InvalidSignature
                | Refusal::NumberReused
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_grows_to_its_bound_and_is_never_nothing() {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(30));
        assert_eq!(wait(first, longest, 0, 0), Duration::from_millis(125));
        assert_eq!(wait(first, longest, 0, u16::MAX), Duration::from_millis(250));
        for failures in [7, 20, u32::MAX] {
            assert_eq!(wait(first, longest, failures, u16::MAX), longest);
        }
    }
}
