//! What a device notes of a room beside MLS: its own commit that waits, and which past epochs can still be read.

use posthouse_spec::cbor::{Cbor, List, Octets};
use posthouse_spec::limits::{MAX_DEPARTURES, MAX_EVENT};
use posthouse_spec::{CommitHash, Epoch, RoomId, record};

use super::Keys;
use super::storage::Kind;
use crate::room::RoomError;

/// Past epochs whose message secrets are kept at most. An epoch is forgotten when all relays have ended it; so this
/// is reached only where one is away for that many commits.
pub(super) const MAX_PAST_EPOCHS: usize = 32;

/// Longest authenticated data of a commit that lets others go, bytes.
const MAX_DEPARTURES_LEN: usize = MAX_DEPARTURES * MAX_EVENT;

record! {
    /// The notes of one room.
    pub(super) struct Notes {
        /// The commit of this device's own that waits for its decision.
        1 => pending: Option<CommitHash>,
        /// The oldest epoch whose messages can be opened.
        2 => oldest: Epoch,
        /// Epochs that are over but younger than one that is not: they are forgotten together with it.
        3 => over: List<Epoch, MAX_PAST_EPOCHS>,
        /// Whether the commit that waits is one by which this device rejoins.
        4 => rejoining: bool,
        /// The authenticated data of the commit that waits, where it lets others go.
        5 => departures: Option<Octets<MAX_DEPARTURES_LEN>>,
    }
}

impl Notes {
    /// The notes of a room that begins for this device at an epoch.
    pub(super) fn new(first: Epoch) -> Self {
        Self { pending: None, oldest: first, over: List::default(), rejoining: false, departures: None }
    }

    /// Reads the notes of a room.
    pub(super) fn load(keys: &Keys, room: &RoomId) -> Result<Self, RoomError> {
        let bytes = keys
            .store()
            .fetch_own(Kind::Notes, room.as_bytes())
            .map_err(|error| RoomError::BadState(error.to_string()))?
            .ok_or(RoomError::UnknownRoom(*room))?;
        Self::from_cbor(&bytes).map_err(|fault| RoomError::BadState(fault.to_string()))
    }

    /// Writes the notes of a room.
    pub(super) fn save(&self, keys: &mut Keys, room: &RoomId) {
        keys.store().put_own(Kind::Notes, room.as_bytes(), &self.to_cbor());
    }

    /// Deletes the notes of a room.
    pub(super) fn delete(keys: &mut Keys, room: &RoomId) {
        keys.store().forget_own(Kind::Notes, room.as_bytes());
    }

    /// The commit that waited was merged or dropped.
    pub(super) fn settle(&mut self) {
        self.pending = None;
        self.departures = None;
    }

    /// Whether messages of a past epoch can be opened.
    pub(super) fn opens(&self, epoch: Epoch) -> bool {
        epoch >= self.oldest && !self.over.contains(&epoch)
    }

    /// The room has come to an epoch: what lies further back than is kept is gone.
    pub(super) fn advance(&mut self, current: Epoch) {
        self.oldest = self.oldest.max(Epoch(current.0.saturating_sub(MAX_PAST_EPOCHS as u64)));
        self.tidy();
    }

    /// A past epoch is over. MLS can forget only from the oldest on, so one in between is noted until its turn comes.
    pub(super) fn end(&mut self, epoch: Epoch) {
        if epoch >= self.oldest && !self.over.contains(&epoch) {
            let mut over = std::mem::take(&mut self.over).into_vec();
            over.push(epoch);
            over.sort_unstable();
            self.over = List::new(over).unwrap_or_default();
        }
        self.tidy();
    }

    /// Moves the oldest epoch behind those that are over, and drops what is noted of earlier ones.
    fn tidy(&mut self) {
        while self.over.contains(&self.oldest) {
            self.oldest = self.oldest.next();
        }
        let kept = std::mem::take(&mut self.over).into_vec().into_iter().filter(|epoch| *epoch > self.oldest);
        self.over = List::new(kept.collect()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_end_in_order() {
        let mut notes = Notes::new(Epoch(3));
        notes.end(Epoch(5));
        notes.end(Epoch(4));
        assert_eq!((notes.oldest, notes.over.len()), (Epoch(3), 2));
        assert!(notes.opens(Epoch(3)) && !notes.opens(Epoch(4)) && !notes.opens(Epoch(2)));
        notes.end(Epoch(3));
        assert_eq!((notes.oldest, notes.over.len()), (Epoch(6), 0));
        notes.end(Epoch(1));
        assert_eq!((notes.oldest, notes.over.len()), (Epoch(6), 0), "what is forgotten stays so");
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let mut notes = Notes::new(Epoch(0));
        for epoch in (1..=MAX_PAST_EPOCHS as u64).rev() {
            notes.end(Epoch(epoch));
        }
        notes.advance(Epoch(MAX_PAST_EPOCHS as u64));
        assert_eq!(notes.oldest, Epoch(0));
        notes.advance(Epoch(MAX_PAST_EPOCHS as u64 + 1));
        assert_eq!((notes.oldest, notes.over.len()), (Epoch(MAX_PAST_EPOCHS as u64 + 1), 0));
    }
}
