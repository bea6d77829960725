//! Whether a device that connects is the one that its relay remembers, or was restored from an old copy.
//!
//! A copy's ratchets would be used twice, which is not safe: so a vault that knows less than its relay does is told
//! [`Resume::RolledBack`], and enrols as a new device. A vault that knows more shows that the relay itself was restored from
//! a copy: what the relay has put into the mailbox since then lies at positions that the vault knows for something else.

use posthouse_spec::client::socket::Hello;
use posthouse_spec::{Incarnation, MailboxSeq, Number};

/// Positions that a vault may be ahead of its relay, which was then restored from a copy. Whoever claims more makes them
/// up, and would bring the mailbox to the end of its numbers.
const MAX_AHEAD: u64 = 1 << 32;

/// What a relay remembers of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceState {
    /// The vault that said hello first.
    pub incarnation: Option<Incarnation>,
    /// The last number that was taken.
    pub accepted: Number,
    /// The last position that was acknowledged.
    pub acked: MailboxSeq,
    /// No position behind this one has ever been given out, as far as the relay remembers: what lies there is new to the
    /// device. That is known across starts, see [`DeviceState::may_have_given`].
    pub given: MailboxSeq,
}

impl DeviceState {
    /// The last position that may have been given out: all that is filled, if the device has said hello since the last
    /// start, and otherwise no more than at that start. Each start takes `given` from here, and `greeted` is false then. So
    /// what a restored relay puts into a mailbox before it meets the device is never taken for given out, however often
    /// it is started.
    #[must_use]
    pub const fn may_have_given(given: MailboxSeq, greeted: bool, next: MailboxSeq) -> MailboxSeq {
        if greeted { MailboxSeq(next.0.saturating_sub(1)) } else { given }
    }
}

/// What a hello means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// The vault goes on from where it was.
    Continue,
    /// The relay is a copy of an older state: the vault holds positions that this relay has never given out. What lies
    /// behind [`DeviceState::given`] was put there since, and goes up by so many positions, behind what the vault holds.
    Ahead {
        /// By how many.
        shift: u64,
    },
    /// The vault is a copy of an older state, with the reason in words.
    RolledBack(String),
}

/// Judges a hello.
#[must_use]
pub fn resume(known: &DeviceState, hello: &Hello) -> Resume {
    let what_to_do = "enrol it as a new device of the account, because its keys may have been used twice";
    if known.incarnation.is_some_and(|bound| bound != hello.incarnation) {
        return Resume::RolledBack(format!(
            "this device's vault is not the one that connected before: {what_to_do}"
        ));
    }
    if hello.acked < known.acked {
        return Resume::RolledBack(format!(
            "the vault stands at mailbox position {} and had acknowledged {}, so it was restored from a copy: {what_to_do}",
            hello.acked, known.acked
        ));
    }
    if hello.last_number < known.accepted {
        return Resume::RolledBack(format!(
            "the vault has numbered {} messages and had sent {}, so it was restored from a copy: {what_to_do}",
            hello.last_number, known.accepted
        ));
    }
    let shift = hello.acked.0.saturating_sub(known.given.0);
    if shift > MAX_AHEAD {
        return Resume::RolledBack(format!(
            "the vault stands at mailbox position {}, and this relay has given out {}, so it is of another relay: {what_to_do}",
            hello.acked, known.given
        ));
    }
    if shift > 0 { Resume::Ahead { shift } } else { Resume::Continue }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_vault_that_knows_less_is_rolled_back() {
        let known = DeviceState {
            incarnation: Some(Incarnation::new([1; 16])),
            accepted: Number(5),
            acked: MailboxSeq(7),
            given: MailboxSeq(8),
        };
        let hello = |incarnation: u8, acked, last| Hello {
            version: 1,
            incarnation: Incarnation::new([incarnation; 16]),
            acked: MailboxSeq(acked),
            last_number: Number(last),
        };
        assert_eq!(resume(&known, &hello(1, 7, 5)), Resume::Continue);
        assert_eq!(resume(&known, &hello(1, 8, 8)), Resume::Continue);
        assert_eq!(resume(&known, &hello(1, 9, 8)), Resume::Ahead { shift: 1 });
        // The relay was restored from a copy; but no copy is that old.
        assert_eq!(resume(&known, &hello(1, 8 + MAX_AHEAD, 8)), Resume::Ahead { shift: MAX_AHEAD });
        assert!(matches!(resume(&known, &hello(1, 9 + MAX_AHEAD, 8)), Resume::RolledBack(_)));
        assert!(matches!(resume(&known, &hello(2, 7, 5)), Resume::RolledBack(_)));
        assert!(matches!(resume(&known, &hello(1, 6, 5)), Resume::RolledBack(_)));
        assert!(matches!(resume(&known, &hello(1, 7, 4)), Resume::RolledBack(_)));
    }
}
