//! Who waits to be dialled, and how many are.

use std::collections::BTreeMap;

use posthouse_spec::{Domain, Millis};

use super::types::Bounds;

/// Where the dial of one relay stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Dial {
    /// Nobody needs it.
    #[default]
    No,
    /// It waits for its turn.
    Queued { ticket: u64, again: bool },
    /// The relay is being dialled.
    Running { again: bool },
    /// It failed, and is tried again at this time.
    Waiting(Millis),
}

/// The dials of all relays.
#[derive(Debug, Default)]
pub(super) struct Dials {
    tickets: u64,
    /// Relays that did not fail when they were last dialled.
    first: BTreeMap<u64, Domain>,
    /// Relays that did.
    again: BTreeMap<u64, Domain>,
    running: usize,
    running_again: usize,
}

impl Dials {
    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn queue(&mut self, domain: &Domain, again: bool) -> Dial {
        self.tickets += 1;
        let queue = if again { &mut self.again } else { &mut self.first };
        queue.insert(self.tickets, domain.clone());
        Dial::Queued { ticket: self.tickets, again }
    }

    pub(super) fn unqueue(&mut self, ticket: u64, again: bool) {
        let queue = if again { &mut self.again } else { &mut self.first };
        queue.remove(&ticket);
    }

    /// The relay that is dialled next, and whether that is again; nothing if there is no room.
    pub(super) fn next(&mut self, bounds: Bounds) -> Option<(Domain, bool)> {
        if self.running >= bounds.dials {
            return None;
        }
        let first = self.first.pop_first().map(|(_, domain)| (domain, false));
        let next = match first {
            Some(first) => first,
            None if self.running_again < bounds.redials => {
                self.again.pop_first().map(|(_, domain)| (domain, true))?
            }
            None => return None,
        };
        self.running += 1;
        self.running_again += usize::from(next.1);
        Some(next)
    }

    /// A dial has ended.
    pub(super) fn ended(&mut self, again: bool) {
        self.running -= 1;
        self.running_again -= usize::from(again);
    }
}
