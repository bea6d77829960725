//! What the relay keeps: one SQLite database in the data folder, and one writer.
//!
//! Everything that changes the store is a job for the writer task. It takes whatever waits into ONE transaction, commits
//! with `synchronous=FULL`, and only then answers: so an answer means that the change survives power loss, and the
//! price of a flush is shared by all that waited for it. Readers have connections of their own.
//!
//! One noun a file: each holds all SQL of its tables. A store belongs to one node at a time. The folder's lock keeps a
//! second process out; the fence, raised at each start and checked in each transaction, keeps a former owner out.

mod error;

pub use error::StoreError;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use posthouse_crypto::{Account, Verified};
use posthouse_spec::account::{AccountRecord, AliasBinding, ClaimedKeyPackages, KeyClaim};
use posthouse_spec::account::Event;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{Hello, Submit};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::room::Suite;
use posthouse_spec::{AccountId, AliasName, DeviceId, Domain, KeyPackageHash, MailboxSeq, Millis, Number, Signed};

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

/// The relay's store. Clones share it.
#[derive(Clone)]
pub struct Store {}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is the chain's new head.
    Appended,
    /// It stands in the chain already.
    Same,
    /// It does not extend the head that the relay has.
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

/// How many key packages of a device are left.
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

impl Store {
    /// Opens the store in `folder` and makes it when there is none. Needs a tokio runtime.
    ///
    /// # Errors
    /// The folder is in use, newer, of another domain, or cannot be read or written.
    pub async fn open(folder: &Path, domain: &Domain, node: &str, wakes: Wakes) -> Result<Self, StoreError> {
        todo!()
    }
    /// Finishes what waits, and closes. Later writes get [`StoreError::Closed`].
    pub async fn close(&self) {}
    /// Whether the store can be read and written now.
    pub async fn ready(&self) -> Result<(), StoreError> {
        todo!()
    }
    /// Registers an account under an alias.
    pub async fn register(&self, now: Millis, account: &Account, name: &AliasName, binding: &Signed<AliasBinding>, invite: Option<[u8; 32]>) -> Result<RegisterOutcome, StoreError> { todo!() }
    /// An account that lives here.
    pub async fn account(&self, account: &AccountId) -> Result<Option<Account>, StoreError> { todo!() }
    /// Who is behind a name here.
    pub async fn by_alias(&self, name: &AliasName) -> Result<Option<AccountId>, StoreError> { todo!() }
    /// The alias of an account here, and its chain.
    pub async fn record(&self, account: &AccountId) -> Result<Option<AccountRecord>, StoreError> { todo!() }
    /// Appends an event whose signature was checked against the chain that ends at `previous`.
    pub async fn append_event(&self, now: Millis, account: &AccountId, event: &Signed<Event>) -> Result<AppendOutcome, StoreError> { todo!() }
    /// Adds an invite token by its hash.
    pub async fn add_invite(&self, now: Millis, token_hash: [u8; 32], uses: u32, expires: Millis) -> Result<(), StoreError> { todo!() }
    /// Adds an invite token to a store that a running relay has open: for the command line.
    pub async fn add_invite_beside(folder: &Path, now: Millis, token_hash: [u8; 32], uses: u32, expires: Millis) -> Result<(), StoreError> { todo!() }
    /// Keeps a session by its token's hash.
    pub async fn put_session(&self, token_hash: [u8; 32], who: MailboxKey, expires: Millis) -> Result<(), StoreError> { todo!() }
    /// The session of a token.
    pub async fn session(&self, token_hash: [u8; 32], now: Millis) -> Result<Option<Session>, StoreError> { todo!() }
    /// Ends all sessions of a device.
    pub async fn end_sessions(&self, who: MailboxKey) -> Result<(), StoreError> { todo!() }
    /// Blocks an account for another one, or no longer.
    pub async fn set_block(&self, by: &AccountId, account: &AccountId, blocked: bool) -> Result<(), StoreError> { todo!() }
    /// Whether `by` has blocked `account`.
    pub async fn is_blocked(&self, by: &AccountId, account: &AccountId) -> Result<bool, StoreError> { todo!() }
    /// Keeps key packages of a device, and its last resort in place of the one before.
    pub async fn upload(&self, who: MailboxKey, suite: Suite, key_packages: Vec<(KeyPackageHash, Bytes)>, last_resort: Option<(KeyPackageHash, Bytes)>) -> Result<KeyPackageStock, StoreError> { todo!() }
    /// How many key packages are left.
    pub async fn stock(&self, who: MailboxKey) -> Result<KeyPackageStock, StoreError> { todo!() }
    /// Hands out one key package of each active device, with tickets.
    pub async fn claim(&self, now: Millis, claim: &Verified<KeyClaim>) -> Result<ClaimOutcome, StoreError> { todo!() }
    /// Judges a device's hello, and binds its vault.
    pub async fn hello(&self, now: Millis, who: MailboxKey, hello: &Hello) -> Result<HelloOutcome, StoreError> { todo!() }
    /// Takes a device's message. Calls of one device take effect in the order in which they were made.
    pub async fn submit(&self, now: Millis, who: MailboxKey, submit: Submit) -> Result<SubmitOutcome, StoreError> { todo!() }
    /// What waits behind `after`, in order.
    pub async fn pending(&self, who: MailboxKey, after: MailboxSeq, max_items: usize, max_bytes: usize) -> Result<Vec<Waiting>, StoreError> { todo!() }
    /// Deletes what the device has made durable.
    pub async fn acknowledge(&self, who: MailboxKey, through: MailboxSeq) -> Result<(), StoreError> { todo!() }
    /// Expires what has waited longer than `retention_ms`, and tells the senders.
    pub async fn sweep(&self, now: Millis, retention_ms: u64) -> Result<(), StoreError> { todo!() }
}
