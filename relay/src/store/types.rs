//! What the store is asked and what it answers.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_spec::account::{AliasBinding, ClaimedKeyPackages};
use posthouse_spec::client::Refusal;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Incarnation, KeyPackageHash, LaneSeq, MailboxSeq, Millis, Number, Signed};

use crate::mailbox::MailboxKey;

/// One outgoing lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The destination.
    pub peer: Domain,
    /// What the lane carries.
    pub class: LaneClass,
}

/// Whom to wake when a commit brought something new. Called after the commit; must not block.
#[derive(Clone)]
pub struct Wakes {
    /// Something new in a mailbox.
    pub mailbox: Arc<dyn Fn(MailboxKey) + Send + Sync>,
    /// Something new on a lane.
    pub lane: Arc<dyn Fn(LaneId) + Send + Sync>,
}

impl Wakes {
    /// Wakes nobody: for tools and tests that ask by themselves.
    #[must_use]
    pub fn none() -> Self {
        Self { mailbox: Arc::new(|_| ()), lane: Arc::new(|_| ()) }
    }
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// The account is new here.
    Registered,
    /// The same account has this alias already: the binding that was made then.
    Same(Signed<AliasBinding>),
    /// Another account has the alias, or the account has another alias here.
    AliasTaken,
    /// The invite token is unknown, expired or used up.
    InvalidInvite,
}

/// What became of an account event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is the chain's new head.
    Appended,
    /// It stands in the chain already.
    Same,
    /// It does not extend the head that the relay has, or does not hold.
    Conflict,
    /// No such account here.
    UnknownAccount,
}

/// A live session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub who: MailboxKey,
    /// When it ends.
    pub expires: Millis,
}

/// A key package that a device leaves here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockedKeyPackage {
    /// Its hash.
    pub hash: KeyPackageHash,
    /// The key package.
    pub bytes: Bytes,
    /// Until when it may be claimed.
    pub not_after: Millis,
}

/// How many key packages of a device are left, last resorts not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyPackageStock {
    /// In suite 0x0003.
    pub classic: u64,
    /// In suite 0x004e.
    pub post_quantum: u64,
}

/// What became of a claim of key packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The key packages with their tickets; the same claim sent again gets the same.
    Claimed(ClaimedKeyPackages),
    /// No such account here.
    UnknownAccount,
}

/// The answer to a device's hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloOutcome {
    /// The device goes on.
    Ready {
        /// The last number that was taken.
        accepted: Number,
        /// The last position that was acknowledged.
        acked: MailboxSeq,
        /// The last position in the mailbox.
        head: MailboxSeq,
    },
    /// The vault was restored from a copy, in words.
    RolledBack(String),
    /// The relay has no mailbox of this device: it is unknown, or was revoked.
    UnknownDevice,
}

/// What became of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It is durable, now or since before.
    Accepted,
    /// It was refused, and its number is not used.
    Refused(Refusal, String),
}

/// One item of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its position.
    pub seq: MailboxSeq,
    /// The encoded [`Delivery`](posthouse_spec::client::Delivery).
    pub delivery: Bytes,
}

/// One item of an outgoing lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneItem {
    /// Its position.
    pub seq: LaneSeq,
    /// The encoded [`Item`](posthouse_spec::envelope::Item).
    pub bytes: Bytes,
}

/// Where an outgoing lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStatus {
    /// The lane's life.
    pub incarnation: Incarnation,
    /// The oldest item that is still kept; equal to `next` when nothing waits.
    pub oldest: LaneSeq,
    /// The position that the next item will get.
    pub next: LaneSeq,
    /// No item at this position or behind it has ever left this relay.
    pub handed: LaneSeq,
}

/// A place on an incoming lane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Incoming {
    /// The relay that sends.
    pub origin: Domain,
    /// What the lane carries.
    pub class: LaneClass,
    /// The lane's life.
    pub incarnation: Incarnation,
}

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Items that waited too long for a device.
    pub mailbox: u64,
    /// Items that waited too long for a relay.
    pub outbox: u64,
    /// Items that waited too long for their room.
    pub aside: u64,
}
