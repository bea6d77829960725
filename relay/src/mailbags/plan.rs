//! When to leave what with whom: for each relay that is out of reach, which lane goes on from where, and which holder is
//! asked next. Pure: the time is an argument, and what is durable (how far each lane was left) comes from the store.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis};

use crate::store::LeftMark;

/// Relays out of reach that are remembered at once; those beyond wait until one of these is back.
pub const MAX_AWAY: usize = 4096;
/// How long a holder that is full for a destination is left alone with it, milliseconds.
const FULL_MS: u64 = 10 * 60 * 1000;
/// How long a holder that does not hold for a destination is left alone with it, milliseconds.
const NO_HOLDER_MS: u64 = 60 * 60 * 1000;
/// How long a holder that could not be asked, or could not answer, is left alone, milliseconds.
const UNREACHED_MS: u64 = 30 * 1000;
/// The lanes that are left, in the order in which they are left: what members are told of the room comes before what they
/// say in it.
const CLASSES: [LaneClass; 2] = [LaneClass::Control, LaneClass::Messages];

/// How patient this relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a relay must have been out of reach, milliseconds.
    pub leave_after_ms: u64,
    /// How long new items gather before they are left too, milliseconds.
    pub gather_ms: u64,
}

impl Patience {
    /// New items gather for a tenth of the time after which the first are left, within these bounds, milliseconds.
    const GATHER_MS: std::ops::RangeInclusive<u64> = 1_000..=30_000;

    /// The patience of a relay that leaves bags after so many milliseconds.
    #[must_use]
    pub fn new(leave_after_ms: u64) -> Self {
        let gather_ms = (leave_after_ms / 10).clamp(*Self::GATHER_MS.start(), *Self::GATHER_MS.end());
        Self { leave_after_ms, gather_ms }
    }
}

/// Where an outgoing lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// What it carries.
    pub class: LaneClass,
    /// Its life.
    pub incarnation: Incarnation,
    /// The oldest item that waits.
    pub oldest: LaneSeq,
    /// The position that the next item will get.
    pub next: LaneSeq,
}

/// What to do for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Leave the lane's items from `from` on with `holder`.
    Leave {
        /// The lane.
        class: LaneClass,
        /// The first item.
        from: LaneSeq,
        /// Whom to ask.
        holder: Domain,
    },
    /// Something is to be left, but every holder refuses, or cannot be reached, for now.
    NoHolder,
    /// Everything is left.
    Done,
}

/// What a holder answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It holds the bag.
    Held,
    /// It has no space for the destination.
    Full,
    /// It does not hold for the destination.
    NotAHolder,
    /// It could not be asked, or not answer.
    Unreached,
}

/// A relay that is out of reach while something waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Away {
    since: Millis,
    /// When it is looked at next.
    due: Millis,
    /// Which holder is not to be asked again before when.
    shunned: BTreeMap<Domain, Millis>,
}

/// All relays that are out of reach while something waits for them.
#[derive(Debug)]
pub struct Planner {
    own: Domain,
    patience: Patience,
    away: BTreeMap<Domain, Away>,
}

impl Planner {
    /// Nobody is out of reach yet.
    #[must_use]
    pub fn new(own: Domain, patience: Patience) -> Self {
        Self { own, patience, away: BTreeMap::new() }
    }

    /// These relays are out of reach now while something waits for them, and no others.
    pub fn handle_away(&mut self, away: &BTreeSet<Domain>, now: Millis) {
        self.away.retain(|domain, _| away.contains(domain));
        for domain in away {
            if self.away.len() >= MAX_AWAY {
                break;
            }
            self.away.entry(domain.clone()).or_insert_with(|| Away {
                since: now,
                due: now.after(self.patience.leave_after_ms),
                shunned: BTreeMap::new(),
            });
        }
    }

    /// The relays for which something may be left now, those first that have been out of reach longest.
    #[must_use]
    pub fn due(&self, now: Millis) -> Vec<Domain> {
        let mut due: Vec<_> = self.away.iter().filter(|(_, away)| away.due <= now).collect();
        due.sort_by_key(|(_, away)| away.since);
        due.into_iter().map(|(domain, _)| domain.clone()).collect()
    }

    /// What to leave next for `destination`, whose manifest names `holders`, of which `permitted` says with whom this
    /// relay talks at all.
    #[must_use]
    pub fn step(
        &self,
        destination: &Domain,
        holders: &[Domain],
        permitted: impl Fn(&Domain) -> bool,
        lanes: &[Lane],
        left: &[LeftMark],
        now: Millis,
    ) -> Step {
        let Some(away) = self.away.get(destination) else { return Step::Done };
        let rest = CLASSES.iter().find_map(|class| {
            let lane = lanes.iter().find(|lane| lane.class == *class)?;
            let from = go_on_from(lane, left, holders, now);
            (from < lane.next).then_some((*class, from))
        });
        let Some((class, from)) = rest else { return Step::Done };
        let usable = |holder: &&Domain| {
            **holder != self.own
                && *holder != destination
                && permitted(holder)
                && away.shunned.get(*holder).is_none_or(|until| *until <= now)
        };
        match holders.iter().find(usable) {
            Some(holder) => Step::Leave { class, from, holder: holder.clone() },
            None => Step::NoHolder,
        }
    }

    /// A holder has answered for a destination. Whether its refusal is news, worth a line in the log.
    pub fn handle_answer(
        &mut self,
        destination: &Domain,
        holder: &Domain,
        answer: Answer,
        now: Millis,
    ) -> bool {
        let Some(away) = self.away.get_mut(destination) else { return false };
        let wait = match answer {
            Answer::Held => {
                away.shunned.remove(holder);
                return false;
            }
            Answer::Full => FULL_MS,
            Answer::NotAHolder => NO_HOLDER_MS,
            Answer::Unreached => UNREACHED_MS,
        };
        away.shunned.retain(|_, until| *until > now);
        away.shunned.insert(holder.clone(), now.after(wait));
        true
    }

    /// Everything that could be left for a destination is left: it is looked at again when new items had time to gather.
    pub fn handle_done(&mut self, destination: &Domain, now: Millis) {
        if let Some(away) = self.away.get_mut(destination) {
            away.due = now.after(self.patience.gather_ms);
        }
    }
}

/// The first item of a lane that is not with a holder. What was left counts as long as it is held, by a relay that the
/// destination will ask, and in the lane's present life.
fn go_on_from(lane: &Lane, left: &[LeftMark], holders: &[Domain], now: Millis) -> LaneSeq {
    let counts = |left: &&LeftMark| {
        left.class == lane.class
            && left.incarnation == lane.incarnation
            && now < left.until
            && holders.contains(&left.holder)
    };
    left.iter().find(counts).map_or(lane.oldest, |left| left.next.max(lane.oldest))
}

#[cfg(test)]
mod tests;
