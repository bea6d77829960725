//! Leaf claims: what an MLS leaf says of its owner.
//!
//! A leaf's credential is a [`LeafClaim`] signed by the device key, and names the leaf's own signature key. MLS
//! checks that the leaf key signed the leaf; here it is checked that the device vouched for that leaf key. Whether
//! the account's chain holds the device is for whoever has the chain.

use bytes::Bytes;
use openmls::prelude::{KeyPackage, LeafNode, Lifetime, ProtocolVersion};
use openmls::prelude::{LeafNodeIndex, PublicGroup};
use openmls::treesync::LeafNodeSource;
use posthouse_spec::account::LeafClaim;
use posthouse_spec::policy::Member;
use posthouse_spec::room::Suite;
use posthouse_spec::{Domain, KeyPackageHash, PublicKey, Signed};

use super::error::{LeafClaimFault, RoomError};
use super::{message, suite};
use crate::hash::key_package_hash;
use crate::sign::{Verified, verify};

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

/// Checks a key package: the MLS signatures, the claim's signature by its device, and that the claim is for the
/// leaf's signature key. The claim's `not_after` is for the caller, who has a clock.
///
/// # Errors
/// What does not hold.
pub fn inspect_key_package(key_package: &[u8]) -> Result<KeyPackageInfo, RoomError> {
    let (package, claim) = check_key_package(key_package)?;
    Ok(KeyPackageInfo {
        hash: key_package_hash(key_package),
        suite: suite::suite(package.ciphersuite())?,
        claim,
        last_resort: package.last_resort(),
    })
}

/// A key package in the library's form, with its claim.
pub(super) fn check_key_package(key_package: &[u8]) -> Result<(KeyPackage, Verified<LeafClaim>), RoomError> {
    let package = message::read_key_package(key_package)?
        .validate(&suite::crypto()?, ProtocolVersion::Mls10)
        .map_err(RoomError::mls)?;
    let claim = check_leaf(package.leaf_node())?;
    Ok((package, claim))
}

/// Checks a leaf's claim against the leaf.
pub(super) fn check_leaf(leaf: &LeafNode) -> Result<Verified<LeafClaim>, LeafClaimFault> {
    if let LeafNodeSource::KeyPackage(lifetime) = leaf.leaf_node_source()
        && !is_endless(lifetime)
    {
        return Err(LeafClaimFault::Lifetime);
    }
    let credential = leaf.credential();
    if credential.credential_type() != suite::CREDENTIAL {
        return Err(LeafClaimFault::CredentialType(credential.credential_type().into()));
    }
    let content = Bytes::copy_from_slice(credential.serialized_content());
    let signed = Signed::<LeafClaim>::from_bytes(content).map_err(LeafClaimFault::Malformed)?;
    let claimed = signed.peek().map_err(LeafClaimFault::Malformed)?;
    let claim = verify(&signed, &PublicKey::from(claimed.device)).map_err(LeafClaimFault::Signature)?;
    if claim.leaf_key.as_bytes() != leaf.signature_key().as_slice() {
        return Err(LeafClaimFault::LeafKey);
    }
    Ok(claim)
}

fn is_endless(lifetime: &Lifetime) -> bool {
    *lifetime == suite::lifetime()
}

/// The claim's owner at a place of the tree.
pub(super) fn member(leaf: u32, claim: &LeafClaim) -> Member {
    Member { leaf, account: claim.account, device: claim.device, home: claim.home.clone() }
}

/// Every leaf of a group with its checked claim. Leaves that stand in `known` unchanged are not checked again.
pub(super) fn roster(group: &PublicGroup, known: &[RosterMember]) -> Result<Vec<RosterMember>, RoomError> {
    let mut roster = Vec::new();
    for listed in group.members() {
        let index = listed.index.u32();
        let place = known.binary_search_by_key(&index, |entry| entry.member.leaf);
        let unchanged = place.ok().map(|place| &known[place]).filter(|entry| {
            entry.claim.signed().as_bytes() == listed.credential.serialized_content()
                && entry.claim.leaf_key.as_bytes() == listed.signature_key.as_slice()
        });
        if let Some(entry) = unchanged {
            roster.push(entry.clone());
            continue;
        }
        let leaf = group
            .leaf(LeafNodeIndex::new(index))
            .ok_or_else(|| RoomError::Mls("the tree lists a leaf that it does not have".to_owned()))?;
        let claim = check_leaf(leaf)?;
        roster.push(RosterMember { member: member(index, &claim), claim });
    }
    roster.sort_by_key(|entry| entry.member.leaf);
    Ok(roster)
}

/// The roster as policy sees it.
pub(super) fn members(roster: &[RosterMember]) -> Vec<Member> {
    roster.iter().map(|entry| entry.member.clone()).collect()
}

/// The relays on a roster, sorted, each once.
pub(super) fn relays(roster: &[RosterMember]) -> Vec<Domain> {
    let mut relays: Vec<Domain> = roster.iter().map(|entry| entry.member.home.clone()).collect();
    relays.sort_unstable();
    relays.dedup();
    relays
}
