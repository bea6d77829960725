//! What the two loops of a connection share.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::ws::{Message, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use posthouse_spec::client::socket::Refused;
use posthouse_spec::{MailboxSeq, Number};
use tokio::time::Instant;

use super::live::{Context, Entered};
use crate::mailbox::MailboxKey;

/// What comes from the client.
pub(super) type Stream = SplitStream<WebSocket>;
/// What goes to the client.
pub(super) type Sink = SplitSink<WebSocket, Message>;

/// The answer to a submit.
#[derive(Debug)]
pub(super) enum Answer {
    /// Everything up to here is durable, or was refused.
    Accepted(Number),
    /// This one was refused.
    Refused(Refused),
}

/// One connection of a device that was greeted.
pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) who: MailboxKey,
    pub(super) entered: Entered,
    /// The highest position that was pushed, in this connection or before.
    pub(super) pushed: AtomicU64,
    /// The highest position that the client has acknowledged.
    pub(super) acked: AtomicU64,
    /// When the session ends.
    pub(super) ends: Instant,
}

impl Shared {
    /// The highest position that a client may acknowledge.
    pub(super) fn pushed(&self) -> MailboxSeq {
        MailboxSeq(self.pushed.load(Ordering::Relaxed))
    }
}
