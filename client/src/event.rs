//! What happens during a sync, and how long it goes on.

use std::time::Duration;

use posthouse_spec::{Alias, RoomId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::change::ChangeStatus;
use crate::model::{Message, Request};

/// How long a sync goes on.
#[derive(Debug, Clone)]
pub enum Until {
    /// Until everything of ours that can be sent is durable at the relay, and the mailbox as it stood at the start is
    /// in the vault; or until the time is over. A connection that fails ends it with an error.
    Idle {
        /// The longest time.
        timeout: Duration,
    },
    /// Until the token is cancelled. A connection that fails is made again after a jittered wait.
    Cancelled(CancellationToken),
}

/// Something that happened during a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The relay took us in.
    Connected {
        /// Where it is.
        relay_url: String,
    },
    /// The connection is gone; a live sync makes another.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt is made, milliseconds from now.
        retry_in_ms: u64,
    },
    /// The mailbox, as it stood when the connection was made, is in the vault.
    CaughtUp,
    /// A message came, or one came that could not be opened.
    Message(Box<Message>),
    /// Somebody who is no contact wants to talk.
    Request(Request),
    /// An own message is sealed for its room.
    Sealed {
        /// Its place in the vault.
        local: u64,
        /// Its room.
        room: RoomId,
    },
    /// An own message is durable at the relay.
    Accepted {
        /// Its place in the vault.
        local: u64,
        /// Its room.
        room: RoomId,
    },
    /// An own message was not delivered, or not to everybody.
    Failed {
        /// Its place in the vault.
        local: u64,
        /// The stable name of the reason.
        code: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A room was founded or joined, or its members changed.
    RoomChanged {
        /// The room.
        room: RoomId,
        /// The other one of a direct room.
        peer: Option<Alias>,
        /// What the room is called, where it has a name.
        name: Option<String>,
    },
    /// A wanted change of a room was done or refused, or waits for another reason than before.
    Change(ChangeStatus),
    /// Something that a person should know of.
    Notice(Notice),
}

/// Something that a person should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its stable name, such as `clock-off` or `account-changed`.
    pub code: String,
    /// What is the matter, and what to do.
    pub detail: String,
    /// Whom it is about.
    pub alias: Option<Alias>,
    /// Which room it is about.
    pub room: Option<RoomId>,
}

/// An own message that a sync left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its place in the vault.
    pub local: u64,
    /// For whom it is.
    pub to: Option<Alias>,
    /// Why it waits, where that is known.
    pub reason: Option<String>,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SyncReport {
    /// Messages that came.
    pub received: u64,
    /// Own messages that the relay took.
    pub accepted: u64,
    /// Own messages that failed.
    pub failed: u64,
    /// Own messages that still wait.
    pub left: Vec<Left>,
    /// Requests that wait for consent.
    pub requests: u64,
    /// Whether the mailbox, as it stood at the start, is in the vault.
    pub caught_up: bool,
}
