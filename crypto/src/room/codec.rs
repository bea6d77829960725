//! How the library's own values are kept: as self-describing CBOR, so that a newer version of the library, which
//! may add fields, still reads them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Why a kept value cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::room) enum StorageError {
    /// A value has no encoding.
    #[error("a value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are no value of this type. What stands in them is not told, because it may be secret.
    #[error("a kept {0} is damaged or of another version")]
    Decode(&'static str),
    /// Rows of a value are missing.
    #[cfg(feature = "member")]
    #[error("a kept value is incomplete: rows are missing")]
    Incomplete,
}

/// The bytes of a value.
pub(super) fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let mut serializer = minicbor_serde::Serializer::new(Vec::new());
    value.serialize(&mut serializer).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(Zeroizing::new(serializer.into_encoder().into_writer()))
}

/// The value behind the bytes.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    let mut deserializer = minicbor_serde::Deserializer::new(bytes);
    T::deserialize(&mut deserializer).map_err(|_| StorageError::Decode(std::any::type_name::<T>()))
}
