//! Strings, texts and lists whose type carries their limit.

use bytes::Bytes;

use super::{Cbor, Malformed, Reader, Writer, check_len};

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
