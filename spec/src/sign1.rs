//! The signed container: COSE_Sign1 (RFC 9052, section 4.2) with Ed25519.
//!
//! The protected header is exactly `{1: -8, 4: kid}` with the signer's raw public key as kid; the unprotected header is
//! empty; the external_aad is the label of the payload's kind. A [`Signed`] has been read but not verified: crypto
//! turns it into a verified value. The bytes received are kept, and the signature is checked over them; nothing is
//! re-encoded for that.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::cbor::{Cbor, Malformed, Reader, Writer};
use crate::ids::{PublicKey, Signature};

/// A kind of thing that is signed.
pub trait Payload: Cbor {
    /// Its entry in the table of labels.
    const LABEL: &'static str;
    /// The largest signed form, bytes.
    const LIMIT: usize;
}

/// A COSE_Sign1 that holds a `T`, well formed and not yet verified.
pub struct Signed<T> {
    bytes: Bytes,
    payload: Bytes,
    kid: PublicKey,
    signature: Signature,
    kind: PhantomData<fn() -> T>,
}

/// What COSE calls EdDSA (RFC 9053).
const ALG_EDDSA: i64 = -8;

fn protected(kid: &PublicKey) -> Vec<u8> {
    let mut w = Writer::default();
    w.map(2);
    w.uint(1);
    w.int(ALG_EDDSA);
    w.uint(4);
    w.bytes(kid.as_bytes());
    w.into_bytes()
}

fn read_kid(protected: &[u8]) -> Result<PublicKey, Malformed> {
    let mut r = Reader::new(protected);
    let form = Malformed::BadValue("the protected header is {1: -8, 4: kid}");
    if r.map("protected header", crate::limits::MAX_FIELDS)? != 2
        || r.int()? != 1
        || r.int()? != ALG_EDDSA
        || r.int()? != 4
    {
        return Err(form);
    }
    let kid = PublicKey::read(&mut r)?;
    r.finish()?;
    Ok(kid)
}

/// The bytes that are signed: Sig_structure of RFC 9052, section 4.4.
#[must_use]
pub fn to_be_signed(label: &str, kid: &PublicKey, payload: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.array(4);
    w.text("Signature1");
    w.bytes(&protected(kid));
    w.bytes(label.as_bytes());
    w.bytes(payload);
    w.into_bytes()
}

impl<T: Payload> Signed<T> {
    /// Reads the container; the payload's own form is checked by [`Signed::peek`] or at verification.
    ///
    /// # Errors
    /// The rule of the encoding that the bytes break.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Malformed> {
        if bytes.len() > T::LIMIT {
            return Err(Malformed::TooLong { what: T::LABEL, len: bytes.len(), limit: T::LIMIT });
        }
        let mut r = Reader::new(&bytes);
        if r.array("COSE_Sign1", 4)? != 4 {
            return Err(Malformed::BadValue("a COSE_Sign1 has four parts"));
        }
        let kid = read_kid(r.bytes("protected header", 64)?)?;
        if r.map("unprotected header", crate::limits::MAX_FIELDS)? != 0 {
            return Err(Malformed::BadValue("the unprotected header is empty"));
        }
        let payload = r.bytes(T::LABEL, T::LIMIT)?;
        let signature = Signature::read(&mut r)?;
        r.finish()?;
        let payload = bytes.slice_ref(payload);
        Ok(Self { bytes, payload, kid, signature, kind: PhantomData })
    }

    /// Puts a container together from a payload's bytes and the signature over [`to_be_signed`].
    #[must_use]
    pub fn assemble(kid: PublicKey, payload: &[u8], signature: Signature) -> Self {
        let mut w = Writer::default();
        w.array(4);
        w.bytes(&protected(&kid));
        w.map(0);
        w.bytes(payload);
        signature.write(&mut w);
        let bytes = Bytes::from(w.into_bytes());
        // The payload stands before the signature's two-byte head and 64 bytes.
        let end = bytes.len() - 2 - Signature::LEN;
        let payload = bytes.slice(end - payload.len()..end);
        Self { bytes, payload, kid, signature, kind: PhantomData }
    }

    /// The bytes over which the signature is.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        to_be_signed(T::LABEL, &self.kid, &self.payload)
    }

    /// The payload, unverified: for finding out which key ought to have signed.
    ///
    /// # Errors
    /// The rule of the encoding that the payload breaks.
    pub fn peek(&self) -> Result<T, Malformed> {
        T::from_cbor(&self.payload)
    }
}

impl<T> Signed<T> {
    /// The whole container as received.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// The payload's bytes as received: what hashes and ids are made of.
    #[must_use]
    pub fn payload_bytes(&self) -> &Bytes {
        &self.payload
    }
    /// The key that the container names as its signer.
    #[must_use]
    pub fn kid(&self) -> PublicKey {
        self.kid
    }
    /// The signature.
    #[must_use]
    pub fn signature(&self) -> Signature {
        self.signature
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            payload: self.payload.clone(),
            kid: self.kid,
            signature: self.signature,
            kind: PhantomData,
        }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Signed<T> {}

impl<T: Payload> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed<{}>({} bytes by {:?})", T::LABEL, self.bytes.len(), self.kid)
    }
}

/// Inside a record a container stands as a byte string, so that its exact bytes travel on.
impl<T: Payload> Cbor for Signed<T> {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.bytes);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::from_bytes(Bytes::copy_from_slice(r.bytes(T::LABEL, T::LIMIT)?))
    }
}
