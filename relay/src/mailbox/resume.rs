//! Whether a device that connects is the one that its relay remembers, or was restored from an old copy.
//!
//! A copy's ratchets would be used twice, which is not safe: so a vault that knows less than its relay does is told
//! [`Resume::RolledBack`], and enrols as a new device.

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
    /// The last position that was given out.
    pub given: MailboxSeq,
}

/// What a hello means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// The vault goes on from where it was.
    Continue,
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
    if hello.acked.0.saturating_sub(known.given.0) > MAX_AHEAD {
        return Resume::RolledBack(format!(
            "the vault stands at mailbox position {}, and this relay has given out {}, so it is of another relay: {what_to_do}",
            hello.acked, known.given
        ));
    }
    Resume::Continue
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
        assert_eq!(resume(&known, &hello(1, 9, 8)), Resume::Continue);
        // The relay was restored from a copy; but no copy is that old.
        assert_eq!(resume(&known, &hello(1, 8 + MAX_AHEAD, 8)), Resume::Continue);
        assert!(matches!(resume(&known, &hello(1, 9 + MAX_AHEAD, 8)), Resume::RolledBack(_)));
        assert!(matches!(resume(&known, &hello(2, 7, 5)), Resume::RolledBack(_)));
        assert!(matches!(resume(&known, &hello(1, 6, 5)), Resume::RolledBack(_)));
        assert!(matches!(resume(&known, &hello(1, 7, 4)), Resume::RolledBack(_)));
    }
}
