//! Canonical CBOR: RFC 8949 core deterministic encoding with integer keys.
//!
//! [`Reader`] refuses what is not canonical (longest-form integers, unsorted or repeated keys, indefinite lengths,
//! trailing bytes) and whatever passes a limit, before anything is allocated for it. Records are maps: a key from
//! zero up is critical, and an unknown one is refused; a negative key is an extension that old readers skip.
//!
//! The macros [`record!`](crate::record), [`choice!`](crate::choice) and [`codes!`](crate::codes) turn a table of
//! numbers into a type with both directions.

mod bounded;
mod macros;
mod reader;
mod writer;

pub use bounded::{List, Octets, Text};
pub use reader::Reader;
pub use writer::Writer;

/// Why bytes are not a well-formed value of this protocol. Each variant is one rule, and negative vectors name it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end before the value does.
    #[error("truncated: the value ends early")]
    Truncated,
    /// Bytes follow a complete value.
    #[error("trailing-bytes: {0} bytes follow the value")]
    TrailingBytes(usize),
    /// An integer or length is not in its shortest form, or a length is indefinite.
    #[error("not-canonical: {0}")]
    NotCanonical(&'static str),
    /// Another CBOR type stands where one was expected.
    #[error("wrong-type: expected {0}")]
    WrongType(&'static str),
    /// A map's keys are not strictly ascending in the canonical order.
    #[error("key-order: keys of {0} are unsorted or repeated")]
    KeyOrder(&'static str),
    /// A critical key that this version does not know.
    #[error("unknown-field: {record} has no field {key}")]
    UnknownField {
        /// The record in which it stands.
        record: &'static str,
        /// The unknown key.
        key: i64,
    },
    /// A required key is absent.
    #[error("missing-field: {record} lacks {field}")]
    MissingField {
        /// The record which lacks it.
        record: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// A tag or code that this version does not know.
    #[error("unknown-variant: {kind} has no variant {code}")]
    UnknownVariant {
        /// The choice or code table.
        kind: &'static str,
        /// The unknown number.
        code: u64,
    },
    /// A length is above (or, for fixed sizes, other than) its limit.
    #[error("too-long: {what} of {len}, the limit is {limit}")]
    TooLong {
        /// What was measured.
        what: &'static str,
        /// Its length in bytes or elements.
        len: usize,
        /// The limit in the same unit.
        limit: usize,
    },
    /// A value of the right type that the rule for it forbids.
    #[error("bad-value: {0}")]
    BadValue(&'static str),
    /// Values are nested deeper than [`MAX_DEPTH`](crate::limits::MAX_DEPTH).
    #[error("too-deep: nested more than {limit} levels", limit = crate::limits::MAX_DEPTH)]
    TooDeep,
}

impl Malformed {
    /// The rule's stable name, as vectors and logs give it.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TrailingBytes(_) => "trailing-bytes",
            Self::NotCanonical(_) => "not-canonical",
            Self::WrongType(_) => "wrong-type",
            Self::KeyOrder(_) => "key-order",
            Self::UnknownField { .. } => "unknown-field",
            Self::MissingField { .. } => "missing-field",
            Self::UnknownVariant { .. } => "unknown-variant",
            Self::TooLong { .. } => "too-long",
            Self::BadValue(_) => "bad-value",
            Self::TooDeep => "too-deep",
        }
    }
}

/// A value with one canonical encoding.
pub trait Cbor: Sized {
    /// Appends the canonical encoding.
    fn write(&self, w: &mut Writer);

    /// Reads one value; the reader stands behind it afterwards.
    ///
    /// # Errors
    /// The rule of the encoding that the bytes break.
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// What an absent record field of this type means: nothing for most, `None` for an option.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// Whether a record leaves the field out.
    fn is_absent(&self) -> bool {
        false
    }

    /// The canonical bytes.
    fn to_cbor(&self) -> Vec<u8> {
        let mut w = Writer::default();
        self.write(&mut w);
        w.into_bytes()
    }

    /// Reads exactly one value from all of `bytes`.
    ///
    /// # Errors
    /// The rule of the encoding that the bytes break.
    fn from_cbor(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let value = Self::read(&mut r)?;
        r.finish()?;
        Ok(value)
    }
}
pub(crate) fn check_len(what: &'static str, len: usize, limit: usize) -> Result<(), Malformed> {
    if len > limit { Err(Malformed::TooLong { what, len, limit }) } else { Ok(()) }
}

/// Checks that an integer-keyed map's keys come in canonical order: 0, 1, 2, … then -1, -2, ….
#[derive(Debug, Default)]
pub struct KeyOrder(Option<(bool, u64)>);

impl KeyOrder {
    /// Takes the next key.
    ///
    /// # Errors
    /// [`Malformed::KeyOrder`] if it does not come behind the last one.
    pub fn next(&mut self, record: &'static str, key: i64) -> Result<(), Malformed> {
        let rank = (key < 0, if key < 0 { !key as u64 } else { key as u64 });
        if self.0.is_some_and(|last| last >= rank) {
            return Err(Malformed::KeyOrder(record));
        }
        self.0 = Some(rank);
        Ok(())
    }
}

impl Cbor for u64 {
    fn write(&self, w: &mut Writer) {
        w.uint(*self);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.uint()
    }
}

impl Cbor for u32 {
    fn write(&self, w: &mut Writer) {
        w.uint(u64::from(*self));
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::try_from(r.uint()?).map_err(|_| Malformed::BadValue("a 32-bit number"))
    }
}

impl Cbor for u16 {
    fn write(&self, w: &mut Writer) {
        w.uint(u64::from(*self));
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::try_from(r.uint()?).map_err(|_| Malformed::BadValue("a 16-bit number"))
    }
}

impl Cbor for bool {
    fn write(&self, w: &mut Writer) {
        w.bool(*self);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.bool()
    }
}

impl<T: Cbor> Cbor for Option<T> {
    fn write(&self, w: &mut Writer) {
        match self {
            Some(value) => value.write(w),
            None => w.null(),
        }
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::read(r).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}
