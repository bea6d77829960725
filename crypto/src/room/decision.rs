//! Decisions: a hub's signed word on which commit ends an epoch.

use posthouse_spec::PublicKey;
use posthouse_spec::room::{Decided, Decision};

use super::RoomError;
use super::message::{MessageKind, inspect};
use crate::hash::commit_hash;
use crate::sign::{Verified, verify};

/// Checks that a decision is signed by the hub's ordering key, and is for the commit that comes with it: the same
/// hash, room and epoch.
///
/// # Errors
/// What does not hold.
pub fn check_decided(decided: &Decided, ordering: &PublicKey) -> Result<Verified<Decision>, RoomError> {
    let decision = verify(&decided.decision, ordering).map_err(RoomError::DecisionSignature)?;
    if decision.commit != commit_hash(&decided.commit) {
        return Err(RoomError::Decision("it is for another commit than the one that comes with it"));
    }
    let message = inspect(&decided.commit)?;
    if message.kind != MessageKind::Commit {
        return Err(RoomError::Malformed { expected: "a commit" });
    }
    if message.room != decision.room || message.epoch != decision.epoch {
        return Err(RoomError::Decision("it names another room or epoch than its commit"));
    }
    Ok(decision)
}
