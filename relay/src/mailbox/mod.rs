//! The pure rules of mailboxes: which submit is new, and whether a device's vault fits what its relay remembers.

mod resume;
mod window;

pub use resume::{DeviceState, Resume, resume};
pub use window::{NumberCheck, NumberWindow, body_hash};

use posthouse_spec::{AccountId, DeviceId};

/// Names one device's mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxKey {
    /// The account.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
}
