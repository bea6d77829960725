//! Observers in memory: a bounded number of rooms' public trees, each restored from its snapshot and log when it is needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use posthouse_crypto::room::{Observer, RoomError};
use posthouse_spec::limits::MAX_DECISIONS;
use posthouse_spec::{Epoch, RoomId};
use tokio::sync::OwnedMutexGuard;

use crate::store::{Store, StoreError};

/// Rooms whose trees are kept in memory at once; a tree has up to 5 MB.
const MAX_SLOTS: usize = 256;

/// A room's place: whoever holds it may judge and move the room.
#[derive(Default)]
pub(super) struct Slot {
    observer: Option<Observer>,
}

/// The places of the rooms in use.
#[derive(Default)]
pub(super) struct Observers {
    slots: Mutex<HashMap<RoomId, Arc<tokio::sync::Mutex<Slot>>>>,
}

impl Observers {
    /// Waits for a room's turn.
    pub(super) async fn lock(&self, room: RoomId) -> OwnedMutexGuard<Slot> {
        self.slot(room).lock_owned().await
    }

    fn slot(&self, room: RoomId) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_SLOTS && !slots.contains_key(&room) {
            // A slot that nobody holds or waits for can be made again from the store.
            let idle: Vec<RoomId> = slots
                .iter()
                .filter(|(_, slot)| Arc::strong_count(slot) == 1)
                .map(|(room, _)| *room)
                .collect();
            for room in idle.iter().take(MAX_SLOTS / 2) {
                slots.remove(room);
            }
        }
        slots.entry(room).or_default().clone()
    }
}

impl Slot {
    /// Keeps the tree of the epoch that the store now stands at.
    pub(super) fn keep(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Takes the tree of a room at `epoch`, from memory or from the store. It is gone from here until it is kept again: so
    /// one that went ahead of the store is never met again.
    pub(super) async fn take(
        &mut self,
        store: &Store,
        room: RoomId,
        epoch: Epoch,
    ) -> Result<Observer, LoadError> {
        if let Some(observer) = self.observer.take().filter(|observer| observer.epoch() == epoch) {
            return Ok(observer);
        }
        let snapshot = store.snapshot(room).await?.ok_or_else(|| lost(room, "it has no snapshot"))?;
        let mut observer = blocking(move || Observer::restore(&snapshot.bytes)).await??;
        while observer.epoch() < epoch {
            let log = store.decisions(room, observer.epoch(), MAX_DECISIONS).await?;
            if log.is_empty() {
                return Err(lost(room, "its log ends early"));
            }
            observer = blocking(move || {
                for decided in &log {
                    if observer.epoch() >= epoch {
                        break;
                    }
                    let judged = observer.judge(&decided.commit)?;
                    observer.apply(judged)?;
                }
                Ok::<_, RoomError>(observer)
            })
            .await??;
        }
        Ok(observer)
    }
}

fn lost(room: RoomId, why: &str) -> LoadError {
    LoadError::Room(RoomError::BadState(format!("room {room}: {why}")))
}

/// Why a room's tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not hold.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The program is ending.
    #[error("the relay is shutting down")]
    Ending,
}

impl From<LoadError> for super::types::RoomRefused {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Room(error) => error.into(),
            LoadError::Ending => Self::new(
                posthouse_spec::client::Refusal::ShuttingDown,
                "the relay is shutting down: try again later",
            ),
        }
    }
}

/// Runs work that takes a processor for milliseconds away from the threads that serve sockets.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LoadError::Ending)
}
