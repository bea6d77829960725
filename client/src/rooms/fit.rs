//! Key packages that a relay hands out for somebody: those that are really theirs.

use std::collections::BTreeSet;

use posthouse_crypto::Account;
use posthouse_crypto::room::inspect_key_package;
use posthouse_spec::account::{ClaimedKeyPackage, Invited};
use posthouse_spec::room::Suite;

/// The suite of a new direct room.
pub(crate) const SUITE: Suite = Suite::PostQuantum;

/// A key package that was checked, with its place in the Welcome.
#[derive(Clone)]
pub(crate) struct Fit {
    /// The KeyPackage as an MLSMessage.
    pub(crate) bytes: Vec<u8>,
    /// Its place in the Welcome.
    pub(crate) invited: Invited,
}

/// Those for the suite that are really of active devices of the account, one of each. A relay could hand out its own.
pub(crate) fn fit_packages(packages: &[ClaimedKeyPackage], account: &Account, suite: Suite) -> Vec<Fit> {
    let mut devices = BTreeSet::new();
    let fit = packages.iter().filter_map(|package| fit_package(package, account, suite));
    fit.filter(|fit| devices.insert(fit.invited.device)).collect()
}

fn fit_package(package: &ClaimedKeyPackage, account: &Account, suite: Suite) -> Option<Fit> {
    let info = inspect_key_package(&package.key_package).ok()?;
    let claim = &info.claim;
    let theirs = claim.account == account.id()
        && claim.device == package.device
        && account.is_active(&claim.device)
        && account.held(&claim.device, claim.seq, &claim.head);
    (theirs && info.suite == suite).then(|| Fit {
        bytes: package.key_package.to_vec(),
        invited: Invited {
            account: claim.account,
            device: claim.device,
            domain: claim.home.clone(),
            key_package: info.hash,
            ticket: package.ticket,
        },
    })
}
