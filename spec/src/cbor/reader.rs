//! The reading half: it refuses what the writing half would not have written.

use minicbor::Decoder;
use minicbor::data::Type;

use super::{Malformed, check_len};

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
            Type::Tag => {
                let start = self.position();
                let tag = self.inner.tag().map_err(|e| self.fail(&e, "a tag"))?;
                self.shortest(start, head_len(tag.as_u64()))?;
                self.skip_at(depth + 1)
            }
            Type::F16 | Type::F32 | Type::F64 => self.skip_float(),
            _ => Err(Malformed::WrongType("a type of this protocol")),
        }
    }

    /// Skips a float in the shortest form that keeps its value (RFC 8949, section 4.2.1); a NaN is `f97e00`.
    fn skip_float(&mut self) -> Result<(), Malformed> {
        let rest = &self.bytes[self.position()..];
        let (len, shortest) = match rest {
            [0xf9, high, low, ..] => {
                let nan = (high & 0x7c) == 0x7c && ((high & 0x03) | low) != 0;
                (3, !nan || [*high, *low] == [0x7e, 0x00])
            }
            [0xfa, a, b, c, d, ..] => (5, !fits_half(f32::from_be_bytes([*a, *b, *c, *d]))),
            [0xfb, a, b, c, d, e, f, g, h, ..] => {
                let value = f64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                (9, !value.is_nan() && f64::from(value as f32) != value)
            }
            _ => return Err(Malformed::Truncated),
        };
        self.inner.set_position(self.position() + len);
        if shortest { Ok(()) } else { Err(Malformed::NotCanonical("a float is not in its shortest form")) }
    }
}

/// Whether a half-precision float (11 significant bits, exponents -14 to 15, steps of 2^-24 below) holds the value.
fn fits_half(value: f32) -> bool {
    if value == 0.0 || !value.is_finite() {
        return true;
    }
    let exponent = ((value.to_bits() >> 23) & 0xff) as i32 - 127;
    let steps = f64::from(value) / f64::from(exponent.max(-14) - 10).exp2();
    exponent <= 15 && steps.fract() == 0.0
}
