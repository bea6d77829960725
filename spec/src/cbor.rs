//! Canonical CBOR: RFC 8949 core deterministic encoding with integer keys.
//!
//! [`Reader`] refuses what is not canonical (longest-form integers, unsorted or repeated keys, indefinite lengths,
//! trailing bytes) and whatever passes a limit, before anything is allocated for it. Records are maps: a key from
//! zero up is critical, and an unknown one is refused; a negative key is an extension that old readers skip.
//! The macros [`record!`](crate::record), [`choice!`](crate::choice) and [`codes!`](crate::codes) turn a table of
//! numbers into a type with both directions.

use bytes::Bytes;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

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

/// Writes canonical CBOR into memory; it cannot fail.
#[derive(Debug)]
pub struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self(Encoder::new(Vec::new()))
    }
}

/// Writing into a `Vec` never fails; the encoder's error type is uninhabited.
fn infallible<T>(result: Result<T, minicbor::encode::Error<std::convert::Infallible>>) {
    if result.is_err() {
        unreachable!("a vector takes every byte");
    }
}

impl Writer {
    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) {
        infallible(self.0.u64(value).map(|_| ()));
    }
    /// A signed integer.
    pub fn int(&mut self, value: i64) {
        infallible(self.0.i64(value).map(|_| ()));
    }
    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        infallible(self.0.bytes(value).map(|_| ()));
    }
    /// A text string.
    pub fn text(&mut self, value: &str) {
        infallible(self.0.str(value).map(|_| ()));
    }
    /// The head of an array of `len` values.
    pub fn array(&mut self, len: usize) {
        infallible(self.0.array(len as u64).map(|_| ()));
    }
    /// The head of a map of `len` pairs.
    pub fn map(&mut self, len: usize) {
        infallible(self.0.map(len as u64).map(|_| ()));
    }
    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        infallible(self.0.bool(value).map(|_| ()));
    }
    /// The null value.
    pub fn null(&mut self) {
        infallible(self.0.null().map(|_| ()));
    }
    /// Bytes that are canonical CBOR already.
    pub fn raw(&mut self, canonical: &[u8]) {
        self.0.writer_mut().extend_from_slice(canonical);
    }
    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads canonical CBOR from a slice, and refuses everything else.
#[derive(Debug, Clone)]
pub struct Reader<'b> {
    inner: Decoder<'b>,
    bytes: &'b [u8],
}

/// The length in bytes of the canonical head for a value or length `n`.
fn head_len(n: u64) -> usize {
    match n {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

impl<'b> Reader<'b> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { inner: Decoder::new(bytes), bytes }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.inner.position()
    }

    /// Refuses bytes after the value.
    ///
    /// # Errors
    /// [`Malformed::TrailingBytes`].
    pub fn finish(&self) -> Result<(), Malformed> {
        match self.bytes.len() - self.inner.position() {
            0 => Ok(()),
            left => Err(Malformed::TrailingBytes(left)),
        }
    }

    fn kind(&self) -> Result<Type, Malformed> {
        self.inner.datatype().map_err(|_| Malformed::Truncated)
    }

    fn fail(&self, error: &minicbor::decode::Error, expected: &'static str) -> Malformed {
        if error.is_end_of_input() { Malformed::Truncated } else { Malformed::WrongType(expected) }
    }

    fn shortest(&self, start: usize, expected: usize) -> Result<(), Malformed> {
        if self.inner.position() - start == expected {
            Ok(())
        } else {
            Err(Malformed::NotCanonical("a number or length is not in its shortest form"))
        }
    }

    /// Whether the next value is null; if so it is consumed.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn take_null(&mut self) -> Result<bool, Malformed> {
        if self.kind()? != Type::Null {
            return Ok(false);
        }
        self.inner.null().map_err(|e| self.fail(&e, "null"))?;
        Ok(true)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// Another type, or not the shortest form.
    pub fn uint(&mut self) -> Result<u64, Malformed> {
        let start = self.position();
        let value = self.inner.u64().map_err(|e| self.fail(&e, "an unsigned integer"))?;
        self.shortest(start, head_len(value))?;
        Ok(value)
    }

    /// A signed integer.
    ///
    /// # Errors
    /// Another type, or not the shortest form.
    pub fn int(&mut self) -> Result<i64, Malformed> {
        let start = self.position();
        let value = self.inner.i64().map_err(|e| self.fail(&e, "an integer"))?;
        let magnitude = if value < 0 { !(value) as u64 } else { value as u64 };
        self.shortest(start, head_len(magnitude))?;
        Ok(value)
    }

    /// A boolean.
    ///
    /// # Errors
    /// Another type.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        self.inner.bool().map_err(|e| self.fail(&e, "a boolean"))
    }

    /// A byte string of at most `limit` bytes, borrowed from the input.
    ///
    /// # Errors
    /// Another type, too long, or not canonical.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'b [u8], Malformed> {
        if self.kind()? == Type::BytesIndef {
            return Err(Malformed::NotCanonical("indefinite length"));
        }
        let start = self.position();
        let value = self.inner.bytes().map_err(|e| self.fail(&e, "a byte string"))?;
        self.shortest(start, head_len(value.len() as u64) + value.len())?;
        check_len(what, value.len(), limit)?;
        Ok(value)
    }

    /// A text string of at most `limit` bytes, borrowed from the input.
    ///
    /// # Errors
    /// Another type, too long, not UTF-8, or not canonical.
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<&'b str, Malformed> {
        if self.kind()? == Type::StringIndef {
            return Err(Malformed::NotCanonical("indefinite length"));
        }
        let start = self.position();
        let value = self.inner.str().map_err(|e| self.fail(&e, "a UTF-8 text string"))?;
        self.shortest(start, head_len(value.len() as u64) + value.len())?;
        check_len(what, value.len(), limit)?;
        Ok(value)
    }

    /// The head of an array of at most `limit` values.
    ///
    /// # Errors
    /// Another type, too long, or not canonical.
    pub fn array(&mut self, what: &'static str, limit: usize) -> Result<usize, Malformed> {
        let start = self.position();
        let len = self.inner.array().map_err(|e| self.fail(&e, "an array"))?;
        self.collection(what, start, len, limit)
    }

    /// The head of a map of at most `limit` pairs.
    ///
    /// # Errors
    /// Another type, too long, or not canonical.
    pub fn map(&mut self, what: &'static str, limit: usize) -> Result<usize, Malformed> {
        let start = self.position();
        let len = self.inner.map().map_err(|e| self.fail(&e, "a map"))?;
        self.collection(what, start, len, limit)
    }

    fn collection(
        &self,
        what: &'static str,
        start: usize,
        len: Option<u64>,
        limit: usize,
    ) -> Result<usize, Malformed> {
        let len = len.ok_or(Malformed::NotCanonical("indefinite length"))?;
        self.shortest(start, head_len(len))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        check_len(what, len, limit)?;
        Ok(len)
    }

    /// Skips one canonical value of any type: the value of an extension field.
    ///
    /// # Errors
    /// Not canonical, or nested too deep.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_at(0)
    }

    /// The canonical bytes of one value of any type.
    ///
    /// # Errors
    /// Not canonical, or nested too deep.
    pub fn raw_value(&mut self) -> Result<&'b [u8], Malformed> {
        let start = self.position();
        self.skip()?;
        Ok(&self.bytes[start..self.position()])
    }

    /// The canonical bytes of one map.
    ///
    /// # Errors
    /// Another type, not canonical, or nested too deep.
    pub fn raw_map(&mut self) -> Result<&'b [u8], Malformed> {
        if self.kind()? == Type::Map { self.raw_value() } else { Err(Malformed::WrongType("a map")) }
    }

    fn skip_at(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > crate::limits::MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        match self.kind()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.uint().map(drop),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => self.int().map(drop),
            Type::Bool => self.bool().map(drop),
            Type::Null => self.take_null().map(drop),
            Type::Bytes | Type::BytesIndef => self.bytes("extension", usize::MAX).map(drop),
            Type::String | Type::StringIndef => self.text("extension", usize::MAX).map(drop),
            Type::Array | Type::ArrayIndef => {
                for _ in 0..self.array("extension", usize::MAX)? {
                    self.skip_at(depth + 1)?;
                }
                Ok(())
            }
            Type::Map | Type::MapIndef => {
                let mut last: Option<&'b [u8]> = None;
                for _ in 0..self.map("extension", usize::MAX)? {
                    let start = self.position();
                    self.skip_at(depth + 1)?;
                    let key = &self.bytes[start..self.position()];
                    if last.is_some_and(|last| last >= key) {
                        return Err(Malformed::KeyOrder("an extension"));
                    }
                    last = Some(key);
                    self.skip_at(depth + 1)?;
                }
                Ok(())
            }
            _ => Err(Malformed::WrongType("a type of this protocol")),
        }
    }
}

fn check_len(what: &'static str, len: usize, limit: usize) -> Result<(), Malformed> {
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

/// A byte string of at most `MAX` bytes. Clones share one buffer.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Octets<const MAX: usize>(Bytes);

impl<const MAX: usize> Octets<MAX> {
    /// Takes bytes that are within the limit.
    ///
    /// # Errors
    /// [`Malformed::TooLong`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, Malformed> {
        let bytes = bytes.into();
        check_len("byte string", bytes.len(), MAX)?;
        Ok(Self(bytes))
    }
    /// The shared buffer.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
    /// The shared buffer, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl<const MAX: usize> std::ops::Deref for Octets<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Debug for Octets<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Octets({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Cbor for Octets<MAX> {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.0);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self(Bytes::copy_from_slice(r.bytes("byte string", MAX)?)))
    }
}

/// A text string of at most `MAX` bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes text that is within the limit.
    ///
    /// # Errors
    /// [`Malformed::TooLong`].
    pub fn new(text: impl Into<String>) -> Result<Self, Malformed> {
        let text = text.into();
        check_len("text", text.len(), MAX)?;
        Ok(Self(text))
    }
    /// Takes the start of a text that may be longer: for explanations that must not fail themselves.
    #[must_use]
    pub fn clipped(text: &str) -> Self {
        let mut end = text.len().min(MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(text[..end].to_owned())
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> Cbor for Text<MAX> {
    fn write(&self, w: &mut Writer) {
        w.text(&self.0);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self(r.text("text", MAX)?.to_owned()))
    }
}

/// An array of at most `MAX` values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes values that are within the limit.
    ///
    /// # Errors
    /// [`Malformed::TooLong`].
    pub fn new(values: Vec<T>) -> Result<Self, Malformed> {
        check_len("list", values.len(), MAX)?;
        Ok(Self(values))
    }
    /// The values, taken out.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Cbor, const MAX: usize> Cbor for List<T, MAX> {
    fn write(&self, w: &mut Writer) {
        w.array(self.0.len());
        for value in &self.0 {
            value.write(w);
        }
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = r.array("list", MAX)?;
        // Grown value by value: the claimed length alone never allocates.
        let mut values = Vec::new();
        for _ in 0..len {
            values.push(T::read(r)?);
        }
        Ok(Self(values))
    }
}

/// Defines a record: a struct encoded as a map with the given integer keys, in ascending order.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$fmeta:meta])* $key:literal => $field:ident : $ty:ty),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name { $($(#[$fmeta])* pub $field: $ty),+ }

        impl $crate::cbor::Cbor for $name {
            fn write(&self, w: &mut $crate::cbor::Writer) {
                let present = 0 $(+ usize::from(!$crate::cbor::Cbor::is_absent(&self.$field)))+;
                w.map(present);
                $(if !$crate::cbor::Cbor::is_absent(&self.$field) {
                    w.uint($key);
                    $crate::cbor::Cbor::write(&self.$field, w);
                })+
            }

            fn read(r: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Malformed> {
                let len = r.map(stringify!($name), $crate::limits::MAX_FIELDS)?;
                let mut order = $crate::cbor::KeyOrder::default();
                $(let mut $field: Option<$ty> = None;)+
                for _ in 0..len {
                    let key = r.int()?;
                    order.next(stringify!($name), key)?;
                    match key {
                        $($key => $field = Some($crate::cbor::Cbor::read(r)?),)+
                        key if key < 0 => r.skip()?,
                        key => {
                            return Err($crate::cbor::Malformed::UnknownField { record: stringify!($name), key });
                        }
                    }
                }
                Ok(Self {
                    $($field: match $field.or_else(<$ty as $crate::cbor::Cbor>::absent) {
                        Some(value) => value,
                        None => {
                            return Err($crate::cbor::Malformed::MissingField {
                                record: stringify!($name),
                                field: stringify!($field),
                            });
                        }
                    }),+
                })
            }
        }
    };
}

/// Defines a choice: an enum encoded as the array `[number, value]`.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$vmeta:meta])* $code:literal => $variant:ident($ty:ty)),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis enum $name { $($(#[$vmeta])* $variant($ty)),+ }

        impl $crate::cbor::Cbor for $name {
            fn write(&self, w: &mut $crate::cbor::Writer) {
                w.array(2);
                match self {
                    $(Self::$variant(value) => {
                        w.uint($code);
                        $crate::cbor::Cbor::write(value, w);
                    })+
                }
            }

            fn read(r: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Malformed> {
                if r.array(stringify!($name), 2)? != 2 {
                    return Err($crate::cbor::Malformed::BadValue("a choice is [number, value]"));
                }
                match r.uint()? {
                    $($code => Ok(Self::$variant($crate::cbor::Cbor::read(r)?)),)+
                    code => Err($crate::cbor::Malformed::UnknownVariant { kind: stringify!($name), code }),
                }
            }
        }
    };
}

/// Defines a table of codes: a field-less enum encoded as its number, with a stable kebab-case name.
#[macro_export]
macro_rules! codes {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$vmeta:meta])* $code:literal => $variant:ident = $text:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vmeta])* $variant = $code),+ }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The stable name, as errors, logs and JSON give it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// The number on the wire and in stores.
            #[must_use]
            pub fn code(self) -> u64 {
                self as u64
            }
            /// The value with this number, if there is one.
            #[must_use]
            pub fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::cbor::Cbor for $name {
            fn write(&self, w: &mut $crate::cbor::Writer) {
                w.uint(self.code());
            }
            fn read(r: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Malformed> {
                let code = r.uint()?;
                Self::from_code(code)
                    .ok_or($crate::cbor::Malformed::UnknownVariant { kind: stringify!($name), code })
            }
        }
    };
}
