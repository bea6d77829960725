//! How a relay behaves, and what follows: it is named, slowed, cut off, and let back after a time.
//!
//! Each broken rule costs points, which fade by half in [`HALF_LIFE_MS`]. From [`SLOW_AT`] points on the relay is *slowed*:
//! what it opens waits its turn. At [`CUT_OFF_AT`] it is *cut off*: its connections are closed and its hellos refused for
//! [`FIRST_CUT_MS`], twice as long each time that it happens again, up to [`MAX_CUT_MS`]. After a time as long as the last
//! one without another it starts over. A relay that is only unlucky (a clock that is off, a version that is too old, a
//! store that fails) loses no points: it is refused, and that is all.
//!
//! Pure: the time comes from the caller.

use std::collections::BTreeMap;

use posthouse_spec::Millis;
use posthouse_spec::peer::hello::PeerRule;

/// Points from which on a relay is slowed.
pub const SLOW_AT: u32 = 100;
/// Points at which a relay is cut off.
pub const CUT_OFF_AT: u32 = 400;
/// In this time points fade by half, milliseconds.
pub const HALF_LIFE_MS: u64 = 5 * 60 * 1_000;
/// How long what a slowed relay opens waits, milliseconds.
pub const SLOW_MS: u64 = 250;
/// How long a relay is cut off the first time, milliseconds.
pub const FIRST_CUT_MS: u64 = 60 * 1_000;
/// How long it is cut off at most, milliseconds: a day.
pub const MAX_CUT_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a broken rule costs, points: much where it cannot be an accident, little where a busy relay may stumble, nothing
/// where the peer is not to blame.
#[must_use]
pub fn price(rule: PeerRule) -> u32 {
    match rule {
        PeerRule::ForgedOrigin | PeerRule::EnvelopeSignature | PeerRule::ManifestSignature => 100,
        PeerRule::WrongDestination
        | PeerRule::OverCredit
        | PeerRule::FrameTooLong
        | PeerRule::WrongItem
        | PeerRule::WrongLane => 40,
        PeerRule::Malformed | PeerRule::Gap | PeerRule::OutOfTurn | PeerRule::BadGossip => 20,
        PeerRule::NoHello | PeerRule::TooManyStreams | PeerRule::TooFast => 2,
        PeerRule::Version
        | PeerRule::ManifestChain
        | PeerRule::NotANode
        | PeerRule::ClockSkew
        | PeerRule::NotAllowed
        | PeerRule::UnknownDomain
        | PeerRule::Unavailable
        | PeerRule::CutOff
        | PeerRule::Equivocation
        | PeerRule::HolderFull
        | PeerRule::NotAHolder => 0,
    }
}

/// How a relay is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Like everybody.
    Normal,
    /// What it opens waits for so long, milliseconds.
    Slowed(u64),
    /// Nothing passes until then.
    CutOff(Millis),
}

/// What is remembered of one relay's conduct. Its size is bounded by the number of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conduct {
    points: u32,
    /// When the points were last reckoned.
    at: Millis,
    /// How often it was cut off without having started over.
    cuts: u32,
    until: Millis,
    /// How often each rule was broken.
    broken: BTreeMap<PeerRule, u64>,
}

impl Conduct {
    /// The relay broke a rule at `now`; says how it is treated from here.
    pub fn handle_fault(&mut self, rule: PeerRule, now: Millis) -> Treatment {
        *self.broken.entry(rule).or_default() += 1;
        if let Treatment::CutOff(until) = self.treatment(now) {
            return Treatment::CutOff(until);
        }
        self.fade(now);
        self.points = self.points.saturating_add(price(rule));
        if self.points >= CUT_OFF_AT {
            self.cut_off(now);
        }
        self.treatment(now)
    }

    /// How the relay is treated at `now`.
    #[must_use]
    pub fn treatment(&self, now: Millis) -> Treatment {
        // A clock that was set back lets in who would otherwise wait until it has caught up.
        if now < self.until && self.until.0 - now.0 <= cut_ms(self.cuts.saturating_sub(1)) {
            Treatment::CutOff(self.until)
        } else if self.points_at(now) >= SLOW_AT {
            Treatment::Slowed(SLOW_MS)
        } else {
            Treatment::Normal
        }
    }

    /// The operator has forgiven it.
    pub fn handle_pardon(&mut self) {
        *self = Self { broken: std::mem::take(&mut self.broken), ..Self::default() };
    }

    /// How often each rule was broken, for the operator.
    pub fn broken(&self) -> impl Iterator<Item = (PeerRule, u64)> {
        self.broken.iter().map(|(rule, count)| (*rule, *count))
    }

    /// Points at `now`.
    #[must_use]
    pub fn points_at(&self, now: Millis) -> u32 {
        let halves = now.0.saturating_sub(self.at.0) / HALF_LIFE_MS;
        u32::try_from(halves).ok().and_then(|halves| self.points.checked_shr(halves)).unwrap_or(0)
    }

    /// Whether nothing is left to remember but the counts.
    #[must_use]
    pub fn is_clean(&self, now: Millis) -> bool {
        self.points_at(now) == 0 && now >= self.starts_over_at()
    }

    fn fade(&mut self, now: Millis) {
        let faded = self.points_at(now);
        if faded != self.points || self.points == 0 {
            self.points = faded;
            self.at = now;
        }
        if now >= self.starts_over_at() {
            self.cuts = 0;
        }
    }

    fn starts_over_at(&self) -> Millis {
        match self.cuts {
            0 => Millis(0),
            cuts => self.until.after(cut_ms(cuts - 1)),
        }
    }

    fn cut_off(&mut self, now: Millis) {
        self.until = now.after(cut_ms(self.cuts));
        self.cuts = self.cuts.saturating_add(1);
        self.points = 0;
        self.at = now;
    }
}

fn cut_ms(before: u32) -> u64 {
    FIRST_CUT_MS.saturating_mul(1 << before.min(20)).min(MAX_CUT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = Millis(1_000_000);

    fn break_rule(conduct: &mut Conduct, rule: PeerRule, times: u32) -> Treatment {
        (0..times).map(|_| conduct.handle_fault(rule, NOW)).last().expect("at least once")
    }

    #[test]
    fn a_peer_is_slowed_then_cut_off_then_let_back() {
        let mut conduct = Conduct::default();
        assert_eq!(break_rule(&mut conduct, PeerRule::Malformed, 4), Treatment::Normal);
        assert_eq!(break_rule(&mut conduct, PeerRule::Malformed, 1), Treatment::Slowed(SLOW_MS));
        let until = NOW.after(FIRST_CUT_MS);
        assert_eq!(break_rule(&mut conduct, PeerRule::Malformed, 15), Treatment::CutOff(until));
        assert_eq!(conduct.treatment(Millis(until.0 - 1)), Treatment::CutOff(until));
        assert_eq!(conduct.treatment(until), Treatment::Normal);
        assert_eq!(conduct.broken().collect::<Vec<_>>(), [(PeerRule::Malformed, 20)]);
    }

    #[test]
    fn each_time_it_takes_longer_until_it_has_behaved_as_long() {
        let mut conduct = Conduct::default();
        let mut now = NOW;
        for round in 0..3 {
            for _ in 0..3 {
                conduct.handle_fault(PeerRule::ForgedOrigin, now);
            }
            let until = now.after(FIRST_CUT_MS << round);
            assert_eq!(conduct.handle_fault(PeerRule::ForgedOrigin, now), Treatment::CutOff(until));
            now = until;
        }
        now = now.after(FIRST_CUT_MS << 2);
        assert!(conduct.is_clean(now));
        for _ in 0..4 {
            conduct.handle_fault(PeerRule::ForgedOrigin, now);
        }
        assert_eq!(conduct.treatment(now), Treatment::CutOff(now.after(FIRST_CUT_MS)));
    }

    #[test]
    fn points_fade_and_bad_luck_costs_none() {
        let mut conduct = Conduct::default();
        break_rule(&mut conduct, PeerRule::Malformed, 6);
        assert!(matches!(conduct.treatment(NOW), Treatment::Slowed(_)));
        assert_eq!(conduct.treatment(NOW.after(HALF_LIFE_MS)), Treatment::Normal);
        let mut unlucky = Conduct::default();
        assert_eq!(break_rule(&mut unlucky, PeerRule::ClockSkew, 10_000), Treatment::Normal);
    }

    #[test]
    fn a_pardon_counts_at_once() {
        let mut conduct = Conduct::default();
        break_rule(&mut conduct, PeerRule::ForgedOrigin, 4);
        conduct.handle_pardon();
        assert_eq!(conduct.treatment(NOW), Treatment::Normal);
    }

    proptest! {
        #[test]
        fn nobody_is_cut_off_for_longer_than_a_day(faults in proptest::collection::vec((0..PeerRule::ALL.len(), 0..MAX_CUT_MS), 0..200)) {
            let (mut conduct, mut now) = (Conduct::default(), NOW);
            for (rule, wait) in faults {
                now = now.after(wait);
                if let Treatment::CutOff(until) = conduct.handle_fault(PeerRule::ALL[rule], now) {
                    prop_assert!(until > now && until.0 - now.0 <= MAX_CUT_MS);
                }
            }
        }
    }
}
