//! Signatures: the step from a container that was read to a value that may be believed.
//!
//! Verification is strict (RFC 8032 with the cofactorless equation, canonical encodings, and no key or `R` of small
//! order), so that all implementations agree on every signature, and no signature holds under two keys.

use std::fmt;
use std::ops::Deref;

use ed25519_dalek::VerifyingKey;
use posthouse_spec::{Malformed, Payload, PublicKey, Signature, Signed};

/// Why a signed container is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The payload's form is wrong.
    #[error("the {label} payload is malformed: {fault}")]
    Malformed {
        /// The label of the payload's kind.
        label: &'static str,
        /// The rule that its bytes break.
        fault: Malformed,
    },
    /// The container names another signer than the one who must have signed.
    #[error("wrong-signer: signed by {found:?}, which may not sign this")]
    WrongSigner {
        /// The key that the container names.
        found: PublicKey,
    },
    /// The signer's key is no valid Ed25519 point, or one of small order.
    #[error("bad-key: {0:?} is not an Ed25519 key that can be trusted")]
    BadKey(PublicKey),
    /// The signature does not hold.
    #[error("bad-signature: the signature does not hold over these bytes")]
    BadSignature,
}

/// A payload whose signature has been checked, with the container that it came in.
pub struct Verified<T> {
    signed: Signed<T>,
    value: T,
}

impl<T> Verified<T> {
    /// The container, to be stored or handed on.
    #[must_use]
    pub fn signed(&self) -> &Signed<T> {
        &self.signed
    }

    /// The payload, taken out.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self { signed: self.signed.clone(), value: self.value.clone() }
    }
}

impl<T: PartialEq> PartialEq for Verified<T> {
    fn eq(&self, other: &Self) -> bool {
        self.signed == other.signed
    }
}

impl<T: Eq> Eq for Verified<T> {}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verified").field(&self.value).finish()
    }
}

/// Checks that `key` signed the container, and reads the payload.
///
/// # Errors
/// The container names another key, the signature does not hold, or the payload is malformed.
pub fn verify<T: Payload>(signed: &Signed<T>, key: &PublicKey) -> Result<Verified<T>, VerifyError> {
    verify_any(signed, |kid| kid == key)
}

/// Checks that a key which `key_ok` admits signed the container, and reads the payload.
///
/// # Errors
/// The key is not admitted, the signature does not hold, or the payload is malformed.
pub fn verify_any<T: Payload>(
    signed: &Signed<T>,
    key_ok: impl Fn(&PublicKey) -> bool,
) -> Result<Verified<T>, VerifyError> {
    let kid = signed.kid();
    if !key_ok(&kid) {
        return Err(VerifyError::WrongSigner { found: kid });
    }
    verify_raw(&kid, &signed.to_be_signed(), &signed.signature())?;
    let value = signed.peek().map_err(|fault| VerifyError::Malformed { label: T::LABEL, fault })?;
    Ok(Verified { signed: signed.clone(), value })
}

/// Checks a bare signature.
///
/// # Errors
/// The key cannot be trusted, or the signature does not hold.
pub fn verify_raw(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), VerifyError> {
    let point = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| VerifyError::BadKey(*key))?;
    if point.is_weak() {
        return Err(VerifyError::BadKey(*key));
    }
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    point.verify_strict(message, &signature).map_err(|_| VerifyError::BadSignature)
}
