//! Leaving: the own word for it, and those of others.

use posthouse_spec::Signed;
use posthouse_spec::cbor::{Cbor as _, List};
use posthouse_spec::room::{Departures, LeaveClaim};

use super::room::Room;
use crate::room::{RoomError, leave};
use crate::secret::SigningKey;

impl Room {
    /// This account's word that all its leaves go, signed by this device's key. Any member may commit it.
    ///
    /// # Errors
    /// This device is no longer in the room.
    pub fn leave_claim(&self, device: &SigningKey) -> Result<Signed<LeaveClaim>, RoomError> {
        let own = self.own_leaf().ok_or(RoomError::NotMember)?;
        let leaves = self
            .roster
            .iter()
            .filter(|entry| entry.member.account == own.account)
            .map(|entry| entry.claim.leaf_key)
            .collect();
        let leaves = List::new(leaves).map_err(RoomError::Departures)?;
        Ok(device.sign(&LeaveClaim { room: self.id, account: own.account, leaves }))
    }

    /// The leaves that go by somebody's word; none where they are gone already.
    ///
    /// # Errors
    /// [`RoomError::Leave`]: the word does not hold here.
    pub fn check_leave(&self, word: &Signed<LeaveClaim>) -> Result<Vec<u32>, RoomError> {
        leave::leaves_of(self.id, &self.roster, word).map_err(RoomError::Leave)
    }
}

/// The authenticated data of a commit that lets others go by their own words.
pub(super) fn departures(words: Vec<Signed<LeaveClaim>>) -> Result<Vec<u8>, RoomError> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Departures { claims: List::new(words).map_err(RoomError::Departures)? }.to_cbor())
}
