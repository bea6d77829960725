//! What a seed stands for: how large the world is, what goes on in it, and what goes wrong.

use crate::cast::{MAX_RELAYS, MAX_ROOMS};
use crate::rng::Rng;

/// A bug planted in the simulation's own world, to show that the laws find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Answers go out before the transaction that they speak of is durable.
    AcknowledgeBeforeCommit,
    /// A lane's cursor is not written in the transaction that takes its items.
    ForgetTheCursor,
    /// What comes ahead of its room's epoch is taken off the lane instead of put aside.
    SkipAside,
    /// Devices hear of a decision before their relay has applied it.
    DecisionBeforeState,
    /// An acknowledgement of a lane's earlier life counts for the present one.
    AckOfAnotherLife,
    /// What is left of a lane after an expiry gets new positions in the same life.
    RenumberInOneLife,
    /// Each start takes for sent whatever has a number, so that the second one after a restore hides it.
    ForgetTheUnsent,
    /// A restored relay leaves what it has put into a mailbox at positions that the device knows for something else.
    KeepThePositions,
}

impl Mutation {
    pub(crate) const ALL: [Self; 8] = [
        Self::AcknowledgeBeforeCommit,
        Self::ForgetTheCursor,
        Self::SkipAside,
        Self::DecisionBeforeState,
        Self::AckOfAnotherLife,
        Self::RenumberInOneLife,
        Self::ForgetTheUnsent,
        Self::KeepThePositions,
    ];

    /// Whether it shows only where a relay is restored.
    const fn is_about_restores(self) -> bool {
        matches!(self, Self::ForgetTheUnsent | Self::KeepThePositions)
    }
}

/// The kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Nothing is given up.
    Plain,
    /// Mailboxes are small, so that relays refuse.
    SmallMailboxes,
    /// The retention is short, so that lanes expire and begin new lives.
    ShortRetention,
    /// One relay is restored from an older copy of its disk. What it alone knew is gone; all else holds.
    Restore,
}

impl Profile {
    /// Whether everybody is invited before anything goes wrong, and nobody afterwards.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::ShortRetention | Self::Restore)
    }
}

/// A world to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    pub(crate) relays: usize,
    pub(crate) rooms: usize,
    pub(crate) messages: usize,
    pub(crate) commits: usize,
    /// Until when things go wrong, and people write, milliseconds.
    pub(crate) quiet_at: u64,
    /// From when on things go wrong.
    pub(crate) calm_until: u64,
    /// The mean time between two faults, milliseconds.
    pub(crate) fault_every: u64,
    /// Crashes right behind an event, in a thousand.
    pub(crate) sudden: u64,
    pub(crate) mutation: Option<Mutation>,
}

/// The retention of worlds in which lanes expire, milliseconds.
pub(crate) const SHORT_RETENTION_MS: u64 = 6_000;
/// Items of one room that a small mailbox holds.
pub(crate) const SMALL_MAILBOX: u64 = 6;

impl Plan {
    pub(crate) fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        // Not the world's own stream: the plan may grow without changing what happens.
        let mut rng = Rng::new(seed ^ 0x706F_7374_686F_7573);
        let profile = match seed % 6 {
            _ if mutation.is_some_and(Mutation::is_about_restores) => Profile::Restore,
            5 => Profile::Restore,
            3 => Profile::SmallMailboxes,
            1 | 4 => Profile::ShortRetention,
            _ => Profile::Plain,
        };
        let relays = 3 + rng.below(MAX_RELAYS - 2);
        Self {
            seed,
            profile,
            relays,
            rooms: 1 + rng.below(MAX_ROOMS),
            messages: (10 + rng.below(30)) * if profile == Profile::ShortRetention { 2 } else { 1 },
            commits: 2 + rng.below(12),
            quiet_at: rng.between(20_000, 90_000),
            calm_until: if profile.is_settled() { 10_000 } else { rng.between(300, 3_000) },
            fault_every: rng.between(500, 6_000),
            sudden: if rng.chance(500) { rng.between(1, 8) } else { 0 },
            mutation,
        }
    }

    pub(crate) fn retention_ms(&self) -> u64 {
        match self.profile {
            Profile::ShortRetention => SHORT_RETENTION_MS,
            _ => posthouse_spec::limits::RETENTION_MS,
        }
    }
}
