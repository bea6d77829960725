//! Account records: alias, account and chain, checked against each other.

use posthouse_spec::account::AccountRecord;
use posthouse_spec::{Alias, Millis, PublicKey};

use super::account::Account;
use super::error::IdentityError;
use crate::sign::{verify, verify_any};

/// Somebody whose alias, account and chain have been checked against each other.
#[derive(Debug, Clone)]
pub struct KnownAccount {
    /// The alias that the relay binds.
    pub alias: Alias,
    /// Who stands behind it.
    pub account: Account,
    /// When the relay bound it.
    pub bound: Millis,
}

/// Checks every part of a record: the binding by the relay's ordering key, the claim inside it by a device that the
/// account has or had, the chain, and that all speak of one alias and one account.
///
/// A device that has been revoked since may have signed the claim: the relay vouches for when it bound it.
///
/// # Errors
/// The part that does not hold.
pub fn verify_record(
    record: &AccountRecord,
    alias: Option<&Alias>,
    ordering: &PublicKey,
) -> Result<KnownAccount, IdentityError> {
    let binding = verify(&record.binding, ordering).map_err(IdentityError::Binding)?;
    let account = Account::validate(&record.chain)?;
    let claim = verify_any(&binding.claim, |key| account.ever_had(key)).map_err(IdentityError::Claim)?;
    if let Some(expected) = alias
        && *expected != claim.alias
    {
        return Err(IdentityError::OtherAlias { expected: expected.clone(), found: claim.alias.clone() });
    }
    if claim.account != account.id() {
        return Err(IdentityError::OtherAccount(claim.alias.clone()));
    }
    Ok(KnownAccount { alias: claim.alias.clone(), bound: binding.bound, account })
}
