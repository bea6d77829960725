//! Where the two implementations differ, and what follows from it.

use std::time::Duration;

use mls_rs::group::proposal::CustomProposal;
use posthouse_crypto::room::{LeafClaimFault, RoomError, inspect, inspect_key_package};

use crate::other::{Other, SELF_REMOVE};
use crate::world::World;

#[test]
fn a_key_package_that_ends_is_refused() {
    // mls-rs always gives an end; a year after now, where it is not told. An end far ahead is still one.
    let millennium = Duration::from_secs(1000 * 365 * 24 * 3600);
    let package = Other::living(3, "o.example", millennium).key_package();
    assert_eq!(inspect_key_package(&package), Err(RoomError::LeafClaim(LeafClaimFault::Lifetime)));
}

#[test]
fn a_self_remove_of_the_other_is_no_message() {
    // It knows SelfRemove under a number of its own only. Under the draft's number it is a custom proposal, which has a length
    // before its bytes where the draft has nothing.
    let mut world = World::new();
    let proposal = CustomProposal::new(SELF_REMOVE, Vec::new());
    let said = world.olga.group().propose_custom(proposal, Vec::new()).unwrap().to_bytes().unwrap();
    assert_eq!(
        inspect(&said),
        Err(RoomError::Malformed { expected: "a public handshake or a sealed message of a room" })
    );
}
