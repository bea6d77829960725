//! The writing half: canonical by construction.

use minicbor::Encoder;

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
