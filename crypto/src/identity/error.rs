//! What can be wrong with an account or a record of one.

use posthouse_spec::account::ChainFault;
use posthouse_spec::{Alias, ChainSeq};

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
