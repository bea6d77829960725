//! Accounts: from a chain of signed events to who may speak for an account.

use posthouse_spec::account::{AccountRecord, ChainFault, DeviceKeys, Event};
use posthouse_spec::{AccountId, Alias, ChainSeq, DeviceId, Domain, EventHash, Millis, PublicKey, Signed};
use rand_core::CryptoRng;

use crate::secret::SigningKey;
use crate::sign::VerifyError;

/// Why an account, or a record of one, is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The chain breaks a rule.
    #[error("the account's chain does not hold at event {seq}: {fault}")]
    Chain {
        /// The position of the event that breaks it.
        seq: ChainSeq,
        /// The rule.
        fault: ChainFault,
    },
    /// The relay's binding of the alias does not hold.
    #[error("the relay's binding of the alias does not hold: {0}")]
    Binding(VerifyError),
    /// The account's own claim of the alias does not hold.
    #[error("the account's claim of the alias does not hold: {0}")]
    Claim(VerifyError),
    /// The binding is of another alias than the one asked for.
    #[error("other-alias: asked for {expected}, got a record of {found}")]
    OtherAlias {
        /// The alias that was asked for.
        expected: Alias,
        /// The alias in the record.
        found: Alias,
    },
    /// The claim is of another account than the chain's.
    #[error("other-account: the alias {0} is bound to another account than the chain's")]
    OtherAccount(Alias),
}

/// An account whose chain has been checked from Genesis on.
#[derive(Debug, Clone)]
pub struct Account {}

impl Account {
    /// Checks a whole chain.
    ///
    /// # Errors
    /// The first rule that it breaks, and where.
    pub fn validate(_chain: &[Signed<Event>]) -> Result<Self, IdentityError> {
        unimplemented!()
    }
    /// Adds one event.
    ///
    /// # Errors
    /// The rule that it breaks; the account is unchanged then.
    pub fn extend(&mut self, _event: Signed<Event>) -> Result<(), IdentityError> {
        unimplemented!()
    }
    /// The account.
    #[must_use]
    pub fn id(&self) -> AccountId {
        unimplemented!()
    }
    /// The hash of the last event.
    #[must_use]
    pub fn head(&self) -> EventHash {
        unimplemented!()
    }
    /// The position of the last event.
    #[must_use]
    pub fn seq(&self) -> ChainSeq {
        unimplemented!()
    }
    /// The home relay.
    #[must_use]
    pub fn home(&self) -> &Domain {
        unimplemented!()
    }
    /// The recovery key.
    #[must_use]
    pub fn recovery(&self) -> PublicKey {
        unimplemented!()
    }
    /// The active devices, in the order in which they were added.
    #[must_use]
    pub fn devices(&self) -> &[DeviceKeys] {
        unimplemented!()
    }
    /// Whether a device is active now.
    #[must_use]
    pub fn is_active(&self, _device: &DeviceId) -> bool {
        unimplemented!()
    }
    /// Whether the chain has this hash at this position, and the device was active there.
    #[must_use]
    pub fn held(&self, _device: &DeviceId, _seq: ChainSeq, _head: &EventHash) -> bool {
        unimplemented!()
    }
    /// The events, Genesis first.
    #[must_use]
    pub fn chain(&self) -> &[Signed<Event>] {
        unimplemented!()
    }
}

/// The first event of a new account.
#[must_use]
pub fn genesis(
    _recovery: &SigningKey,
    _device: DeviceKeys,
    _home: Domain,
    _rng: &mut impl CryptoRng,
    _now: Millis,
) -> Signed<Event> {
    unimplemented!()
}

/// The next event: a device joins. Signed by an active device or the recovery key.
#[must_use]
pub fn add_device(
    _account: &Account,
    _signer: &SigningKey,
    _device: DeviceKeys,
    _now: Millis,
) -> Signed<Event> {
    unimplemented!()
}

/// The next event: a device leaves. Signed by the recovery key or the device itself.
#[must_use]
pub fn revoke_device(
    _account: &Account,
    _signer: &SigningKey,
    _device: DeviceId,
    _undo_from: Option<ChainSeq>,
    _now: Millis,
) -> Signed<Event> {
    unimplemented!()
}

/// The next event: a new recovery key. Signed by the old one.
#[must_use]
pub fn rotate_recovery(
    _account: &Account,
    _signer: &SigningKey,
    _recovery: PublicKey,
    _now: Millis,
) -> Signed<Event> {
    unimplemented!()
}

/// The next event: the account moves. Signed by the recovery key.
#[must_use]
pub fn set_home(_account: &Account, _signer: &SigningKey, _home: Domain, _now: Millis) -> Signed<Event> {
    unimplemented!()
}

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

/// Checks every part of a record.
///
/// # Errors
/// The part that does not hold.
pub fn verify_record(
    _record: &AccountRecord,
    _alias: Option<&Alias>,
    _ordering: &PublicKey,
) -> Result<KnownAccount, IdentityError> {
    unimplemented!()
}

/// The 60 digits that two people compare.
#[must_use]
pub fn safety_number(_a: &Account, _b: &Account) -> String {
    unimplemented!()
}
