//! Telling what happens, and counting it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::event::{Event, SyncReport};
use crate::model::{Direction, MessageState};

/// Where events go. A listener that is slow slows the sync down; one that is gone does not matter.
pub(super) struct Emitter {
    events: mpsc::Sender<Event>,
    received: AtomicU64,
    accepted: AtomicU64,
    failed: AtomicU64,
    connected: AtomicBool,
    caught_up: AtomicBool,
}

impl Emitter {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self {
            events,
            received: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
        }
    }

    /// Tells one event. Never call this while holding a transaction: the listener may need the vault first.
    pub(super) async fn emit(&self, event: Event) {
        let one = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match &event {
            Event::Connected { .. } => self.connected.store(true, Ordering::Relaxed),
            Event::CaughtUp => self.caught_up.store(true, Ordering::Relaxed),
            Event::Message(message)
                if message.direction == Direction::In && message.state == MessageState::Received =>
            {
                one(&self.received);
            }
            Event::Accepted { .. } => {
                one(&self.accepted);
            }
            Event::Failed { .. } => {
                one(&self.failed);
            }
            _ => {}
        }
        // Nobody listens any more: what happened is in the vault all the same.
        let _ = self.events.send(event).await;
    }

    /// Tells several.
    pub(super) async fn emit_all(&self, events: Vec<Event>) {
        for event in events {
            self.emit(event).await;
        }
    }

    /// Whether the relay took us in since [`Emitter::forget_connection`].
    pub(super) fn was_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// The next connection begins.
    pub(super) fn forget_connection(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    /// What was counted.
    pub(super) fn counts(&self) -> SyncReport {
        SyncReport {
            received: self.received.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            caught_up: self.caught_up.load(Ordering::Relaxed),
            ..SyncReport::default()
        }
    }
}
