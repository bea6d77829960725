//! How each relay has behaved, over all its connections: who is slowed, who is cut off, and who is let back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Millis};

use crate::conduct::{Conduct, Treatment};
use crate::link::Violation;

/// Relays whose conduct is remembered. Beyond that, whoever has done least is forgotten first.
const MAX_KEPT: usize = 4096;
/// How long the counts of one that has nothing else against it are kept, milliseconds: a day.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// How a relay has behaved, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConductStatus {
    /// How it is treated.
    pub treatment: Treatment,
    /// Its points; they fade.
    pub points: u32,
    /// How often it broke each rule, as long as this is remembered.
    pub broken: Vec<(PeerRule, u64)>,
}

#[derive(Default)]
struct Entry {
    conduct: Conduct,
    /// The treatment that the log has told of.
    told: Option<Treatment>,
    /// The last broken rule.
    at: Millis,
}

/// The conduct of all relays.
#[derive(Default)]
pub(crate) struct Conducts(Mutex<HashMap<Domain, Entry>>);

impl Conducts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, Entry>> {
        // A holder that panicked leaves entries that are each sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A relay broke a rule so many times; says how it is treated from here.
    pub(crate) fn fault(&self, domain: &Domain, rule: PeerRule, times: u32, now: Millis) -> Treatment {
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT && !kept.contains_key(domain) {
            forget_the_best(&mut kept, now);
        }
        let entry = kept.entry(domain.clone()).or_default();
        entry.at = now;
        for _ in 0..times {
            entry.conduct.handle_fault(rule, now);
        }
        entry.tell(domain, now);
        entry.conduct.treatment(now)
    }

    /// How a relay is treated.
    pub(crate) fn treatment(&self, domain: &Domain, now: Millis) -> Treatment {
        self.lock().get(domain).map_or(Treatment::Normal, |entry| entry.conduct.treatment(now))
    }

    /// What to say to a relay that is cut off, while it is.
    pub(crate) fn cut_off(&self, domain: &Domain, now: Millis) -> Option<Violation> {
        let Treatment::CutOff(until) = self.treatment(domain, now) else { return None };
        let seconds = (until.0 - now.0).div_ceil(1_000);
        let detail = format!("{domain} broke too many rules: this relay talks to it again in {seconds} s");
        Some(Violation::new(PeerRule::CutOff, detail))
    }

    /// For how long nothing passes, milliseconds; 0 where something does.
    pub(crate) fn wait(&self, domain: &Domain, now: Millis) -> u64 {
        match self.treatment(domain, now) {
            Treatment::CutOff(until) => until.0 - now.0,
            Treatment::Normal | Treatment::Slowed(_) => 0,
        }
    }

    /// What is remembered of a relay.
    pub(crate) fn status(&self, domain: &Domain, now: Millis) -> Option<ConductStatus> {
        self.lock().get(domain).map(|entry| ConductStatus {
            treatment: entry.conduct.treatment(now),
            points: entry.conduct.points_at(now),
            broken: entry.conduct.broken().collect(),
        })
    }

    /// The operator has forgiven a relay. Whether there was anything to forgive.
    pub(crate) fn pardon(&self, domain: &Domain, now: Millis) -> bool {
        let mut kept = self.lock();
        let Some(entry) = kept.get_mut(domain) else { return false };
        entry.conduct.handle_pardon();
        entry.tell(domain, now);
        true
    }

    /// Time has passed: tells the log who is treated better now, and returns those that are let back.
    pub(crate) fn round(&self, now: Millis) -> Vec<Domain> {
        let mut back = Vec::new();
        self.lock().retain(|domain, entry| {
            if entry.tell(domain, now) {
                back.push(domain.clone());
            }
            !entry.conduct.is_clean(now) || entry.at > now || now.0 - entry.at.0 < KEPT_MS
        });
        back
    }
}

impl Entry {
    /// Says in the log how the relay is treated, where that has changed. Whether it is let back.
    fn tell(&mut self, domain: &Domain, now: Millis) -> bool {
        let treatment = self.conduct.treatment(now);
        let before = self.told.replace(treatment).unwrap_or(Treatment::Normal);
        if before == treatment {
            return false;
        }
        let points = self.conduct.points_at(now);
        let level = match treatment {
            Treatment::Normal => 0.0,
            Treatment::Slowed(_) => 1.0,
            Treatment::CutOff(_) => 2.0,
        };
        metrics::gauge!("posthouse_peer_treatment", "peer" => domain.to_string()).set(level);
        let was_out = matches!(before, Treatment::CutOff(_));
        match treatment {
            Treatment::Normal if was_out => tracing::info!(peer = %domain, "the relay is let back"),
            Treatment::Normal => tracing::info!(peer = %domain, "the relay is slowed no more"),
            Treatment::Slowed(ms) => {
                tracing::warn!(peer = %domain, points, ms, "the relay breaks rules and is slowed: each stream waits");
            }
            Treatment::CutOff(until) => {
                let seconds = (until.0 - now.0).div_ceil(1_000);
                tracing::warn!(peer = %domain, seconds, "the relay broke too many rules and is cut off");
            }
        }
        was_out && !matches!(treatment, Treatment::CutOff(_))
    }
}

/// Makes room for one more.
fn forget_the_best(kept: &mut HashMap<Domain, Entry>, now: Millis) {
    kept.retain(|_, entry| !entry.conduct.is_clean(now));
    if kept.len() < MAX_KEPT {
        return;
    }
    let badness = |entry: &Entry| match entry.conduct.treatment(now) {
        Treatment::CutOff(until) => (until, 0),
        Treatment::Normal | Treatment::Slowed(_) => (Millis(0), entry.conduct.points_at(now)),
    };
    let best = kept.iter().min_by_key(|(_, entry)| badness(entry)).map(|(domain, _)| domain.clone());
    if let Some(best) = best {
        kept.remove(&best);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduct::{FIRST_CUT_MS, SLOW_MS};

    const NOW: Millis = Millis(1_000_000);

    fn domain(text: &str) -> Domain {
        text.parse().expect("a domain of the test")
    }

    #[test]
    fn a_relay_is_told_when_it_may_come_back_and_let_back_once() {
        let (conducts, a) = (Conducts::default(), domain("a.example"));
        assert_eq!(conducts.fault(&a, PeerRule::ForgedOrigin, 1, NOW), Treatment::Slowed(SLOW_MS));
        assert!(conducts.cut_off(&a, NOW).is_none());
        let until = NOW.after(FIRST_CUT_MS);
        assert_eq!(conducts.fault(&a, PeerRule::ForgedOrigin, 3, NOW), Treatment::CutOff(until));
        assert!(conducts.cut_off(&a, NOW).is_some_and(|words| words.detail.contains("in 60 s")));
        assert_eq!(conducts.round(Millis(until.0 - 1)), []);
        assert_eq!(conducts.round(until), std::slice::from_ref(&a));
        assert_eq!(conducts.round(until), []);
        assert!(conducts.status(&a, until).is_some(), "the operator may still ask");
        conducts.round(until.after(KEPT_MS));
        assert!(conducts.status(&a, until).is_none());
    }

    #[test]
    fn thousands_of_names_do_not_make_it_forget_the_worst() {
        let (conducts, worst) = (Conducts::default(), domain("worst.example"));
        conducts.fault(&worst, PeerRule::ForgedOrigin, 4, NOW);
        for n in 0..2 * MAX_KEPT {
            conducts.fault(&domain(&format!("n{n}.example")), PeerRule::Malformed, 1, NOW);
        }
        assert!(conducts.lock().len() <= MAX_KEPT);
        assert!(matches!(conducts.treatment(&worst, NOW), Treatment::CutOff(_)));
    }
}
