//! What the relay keeps: one SQLite database in the data folder, and one writer.
//!
//! Everything that changes the store is a job for the writer task. It takes whatever waits into ONE transaction, commits
//! with `synchronous=FULL`, and only then answers: so an answer means that the change survives power loss, and the
//! price of a flush is shared by all that waited for it. Readers have connections of their own.
//!
//! One noun a file: each holds all SQL of its tables. A store belongs to one node at a time. The folder's lock keeps a
//! second process out; the fence, raised at each start and checked in each transaction, keeps a former owner out.
//!
//! Bottom up: `error`, `types`, `columns` and `rows` are tools; `items` says how what waits is encoded; `cache` and
//! `pending` are what the writer remembers and has yet to write, `tx` is a transaction over them, and `writer` the task.
//! The nouns stand on `handle`, the [`Store`] itself.

mod accounts;
mod aside;
mod blocks;
mod cache;
mod canaries;
mod columns;
mod commits;
mod cursors;
mod devices;
mod error;
mod handed;
mod handle;
mod inbound;
mod inspect;
mod invites;
mod items;
mod key_packages;
mod lanes;
mod mailbags;
mod mailboxes;
mod marks;
mod meeting;
mod neighbours;
mod open;
mod peer_rules;
mod pending;
mod pins;
mod refusals;
mod room_entries;
mod rooms;
mod rows;
mod sending;
mod sessions;
mod submits;
mod sweep;
mod tickets;
mod traffic;
mod tx;
mod types;
mod words;
mod writer;

pub use cursors::LanePlace;
pub use error::StoreError;
pub use handle::Store;
pub use inbound::InboundOutcome;
pub use mailbags::{FullOf, HoldOutcome, LeftMark, MailbagQuota};
pub use peer_rules::{DomainRule, Ruling};
pub use pins::ManifestEvidence;
pub use room_entries::RoomRow;
pub use traffic::{Arriving, Departing};
pub use types::{
    AppendOutcome, ClaimOutcome, HelloOutcome, Incoming, KeyPackageStock, LaneId, LaneItem, LaneStatus,
    RegisterOutcome, Session, StockedKeyPackage, SubmitOutcome, Swept, Waiting, Wakes,
};

pub(crate) use canaries::{CanaryOutcome, CanaryPlace, Nonce};
pub(crate) use inbound::InboundItem;
pub(crate) use rooms::{Advance, FoundOutcome, RoomState, StepOutcome};
pub(crate) use tickets::Invitation;

#[cfg(test)]
mod tests;
