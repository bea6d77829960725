//! Look-ups that failed a moment ago: whoever causes one again on another's word gets the same answer at no cost.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use posthouse_spec::{Domain, ManifestHash, Millis};

/// How long a failure is the answer, milliseconds.
const MEMORY_MS: u64 = 5_000;
/// Failures that are remembered.
const MAX_REMEMBERED: usize = 1024;

struct Failure {
    at: Millis,
    why: String,
}

/// What was looked up: a domain's manifest, or the links between the one that is pinned and this one. The latter are told
/// apart by what was shown, so that a forgery does not stand in the way of the relay's own.
pub(super) type LookedUp = (Domain, Option<ManifestHash>);

/// What failed.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<LookedUp, Failure>>);

impl Failures {
    /// Takes note of a failure.
    pub(super) fn note(&self, what: &LookedUp, now: Millis, why: &dyn std::fmt::Display) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REMEMBERED {
            all.retain(|_, failure| is_recent(failure, now));
        }
        // Whoever fills the table with names of their own within seconds gains look-ups of those names only.
        if all.len() < MAX_REMEMBERED {
            all.insert(what.clone(), Failure { at: now, why: why.to_string() });
        }
    }

    /// Why the look-up failed a moment ago, if it did.
    pub(super) fn recent(&self, what: &LookedUp, now: Millis) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(what).filter(|failure| is_recent(failure, now)).map(|failure| failure.why.clone())
    }
}

fn is_recent(failure: &Failure, now: Millis) -> bool {
    // A clock that was set back forgets.
    failure.at <= now && now.0 - failure.at.0 < MEMORY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_a_moment_and_never_more_than_so_many() {
        let failures = Failures::default();
        let name = |n: usize| -> LookedUp { (format!("d{n}.example").parse().expect("a domain"), None) };
        for n in 0..2 * MAX_REMEMBERED {
            failures.note(&name(n), Millis(10), &"nobody there");
        }
        assert_eq!(failures.recent(&name(1), Millis(11)).as_deref(), Some("nobody there"));
        assert_eq!(failures.recent(&name(2 * MAX_REMEMBERED - 1), Millis(11)), None);
        assert_eq!(failures.recent(&name(1), Millis(10 + MEMORY_MS)), None);
        failures.note(&name(7_000), Millis(10 + MEMORY_MS), &"gone");
        assert!(failures.recent(&name(7_000), Millis(10 + MEMORY_MS)).is_some(), "old ones made room");
        assert_eq!(failures.recent(&name(7_000), Millis(9)), None);
    }

    #[test]
    fn a_forgery_does_not_stand_for_what_the_relay_itself_shows() {
        let failures = Failures::default();
        let shown = |n: u8| -> LookedUp {
            ("a.example".parse().expect("a domain"), Some(ManifestHash::new([n; 32])))
        };
        failures.note(&shown(1), Millis(10), &"no such link");
        assert!(failures.recent(&shown(1), Millis(11)).is_some());
        assert_eq!(failures.recent(&shown(2), Millis(11)), None);
    }
}
