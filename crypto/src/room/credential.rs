//! Leaf claims: what an MLS leaf says of its owner.

use posthouse_spec::account::LeafClaim;
use posthouse_spec::policy::Member;
use posthouse_spec::room::Suite;
use posthouse_spec::{KeyPackageHash, Malformed};

use super::RoomError;
use crate::sign::{Verified, VerifyError};

/// Why a leaf's claim does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafClaimFault {
    /// The credential is not of this protocol's type.
    #[error("the leaf's credential is of type {0:#06x}, not a leaf claim")]
    CredentialType(u16),
    /// The credential's content is no signed claim.
    #[error("the leaf's claim is malformed: {0}")]
    Malformed(Malformed),
    /// The device's signature does not hold.
    #[error("the leaf's claim is not signed by its device: {0}")]
    Signature(VerifyError),
    /// The claim is for another leaf's signature key.
    #[error("the leaf's claim is for another signature key than the leaf's")]
    LeafKey,
}

/// One leaf of a room, and the claim that says whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterMember {
    /// Whose it is, as policy sees it.
    pub member: Member,
    /// The claim, signed by the device. Whether the account's chain has the device is for the caller to check.
    pub claim: Verified<LeafClaim>,
}

/// What a key package says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackageInfo {
    /// Its name.
    pub hash: KeyPackageHash,
    /// The suite in which it can be used.
    pub suite: Suite,
    /// Whose it is.
    pub claim: Verified<LeafClaim>,
    /// Whether it may be used more than once.
    pub last_resort: bool,
}

/// Checks a key package: the MLS signatures, the claim's signature by its device, and that the claim is for the leaf's
/// signature key.
///
/// # Errors
/// What does not hold.
pub fn inspect_key_package(_key_package: &[u8]) -> Result<KeyPackageInfo, RoomError> {
    unimplemented!()
}
