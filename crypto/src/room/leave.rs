//! Leaving: an account's word that its leaves go, by which any member may remove them.
//!
//! The word names leaves by their signature keys, and not an epoch, so that it need not be said again whenever the room moves
//! on before somebody has committed it.

use std::collections::BTreeSet;

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::room::{Departures, LeaveClaim};
use posthouse_spec::{PublicKey, RoomId, Signed};

use super::error::LeaveFault;
use super::{RoomError, RosterMember};
use crate::sign::{VerifyError, verify};

/// The leaves of `roster` that go by this word, in the order of the tree; none where they are gone already.
///
/// # Errors
/// The word does not hold in this room.
pub(super) fn leaves_of(
    room: RoomId,
    roster: &[RosterMember],
    word: &Signed<LeaveClaim>,
) -> Result<Vec<u32>, LeaveFault> {
    let label = posthouse_spec::labels::LEAVE;
    let claimed = word.peek().map_err(|fault| VerifyError::Malformed { label, fault })?;
    let signer = roster
        .iter()
        .map(|entry| &entry.member)
        .find(|member| member.account == claimed.account && PublicKey::from(member.device) == word.kid())
        .ok_or(LeaveFault::NotTheirs)?;
    let claim = verify(word, &PublicKey::from(signer.device))?;
    if claim.room != room {
        return Err(LeaveFault::OtherRoom);
    }
    let named: BTreeSet<&PublicKey> = claim.leaves.iter().collect();
    let goes = |entry: &&RosterMember| {
        entry.member.account == claim.account && named.contains(&entry.claim.leaf_key)
    };
    Ok(roster.iter().filter(goes).map(|entry| entry.member.leaf).collect())
}

/// Those of the removed leaves that go by words in the commit's authenticated data.
///
/// # Errors
/// The data is neither empty nor [`Departures`], or a word does not hold or lets nobody go.
pub(super) fn departed(
    room: RoomId,
    roster: &[RosterMember],
    aad: &[u8],
    removed: &[u32],
) -> Result<Vec<u32>, RoomError> {
    if aad.is_empty() {
        return Ok(Vec::new());
    }
    let departures = Departures::from_cbor(aad).map_err(RoomError::Departures)?;
    let mut left = Vec::new();
    for word in departures.claims.iter() {
        let goes = leaves_of(room, roster, word).map_err(RoomError::Leave)?;
        let gone: Vec<u32> = goes.into_iter().filter(|leaf| removed.contains(leaf)).collect();
        if gone.is_empty() {
            return Err(RoomError::Leave(LeaveFault::NobodyGoes));
        }
        left.extend(gone);
    }
    Ok(left)
}
