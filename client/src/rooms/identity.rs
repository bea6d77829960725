//! Who this device says that it is, in each of its leaves.

use posthouse_crypto::room::member::LeafIdentity;

use crate::vault::owner::Owner;

/// The part of a leaf claim that says who we are.
pub(crate) fn leaf_identity(owner: &Owner) -> LeafIdentity<'_> {
    LeafIdentity {
        account: owner.account.id(),
        home: owner.account.home().clone(),
        device: &owner.device,
        seq: owner.account.seq(),
        head: owner.account.head(),
    }
}
