//! The keys of a device's rooms, in memory, with the writes that its vault has not yet taken.
//!
//! MLS writes as it goes, many times for one operation, and synchronously; the vault wants one transaction in which
//! the keys change together with what they mean. So everything is written here first: [`Keys::take_writes`] yields
//! the rows that differ, for the vault's transaction, and [`Keys::rollback`] forgets them where that transaction
//! fails.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use super::rows::{Kept, KeyWrite, gather};
use crate::room::RoomError;
use crate::room::codec::StorageError;

/// Every MLS secret of a device. Not meant for use by two threads at once: an operation of one would be cut in half
/// by the other's [`Keys::take_writes`], which is why all of it takes `&mut`.
pub struct Keys {
    store: Store,
    crypto: Option<CryptoProvider>,
}

impl Keys {
    /// The keys that a vault holds, as rows; none for a new device. Rows that are missing or damaged show when the
    /// room that needs them is loaded.
    #[must_use]
    pub fn load(rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let tables = Tables { kept: gather(rows), layers: vec![Layer::new()] };
        Self { store: Store(Mutex::new(tables)), crypto: CryptoProvider::new().ok() }
    }

    /// The rows that changed since the last call, for the vault's transaction.
    #[must_use]
    pub fn take_writes(&mut self) -> Vec<KeyWrite> {
        let mut tables = self.store.tables();
        let layers = std::mem::replace(&mut tables.layers, vec![Layer::new()]);
        let mut writes = Vec::new();
        for (key, value) in layers.into_iter().flatten() {
            let gone = value.is_none();
            writes.extend(tables.kept.entry(key.clone()).or_default().replace(&key, value));
            if gone {
                tables.kept.remove(&key);
            }
        }
        writes
    }

    /// Forgets what was not taken: the state is that of the last [`Keys::take_writes`] again. Every open
    /// [`Room`](super::Room) must be loaded again.
    pub fn rollback(&mut self) {
        self.store.tables().layers = vec![Layer::new()];
    }

    /// What MLS works with.
    pub(super) fn provider(&self) -> Result<Provider<'_>, RoomError> {
        let crypto = self.crypto.as_ref().ok_or(RoomError::NoRandomness)?;
        Ok(Provider { store: &self.store, crypto })
    }

    /// Storage of this protocol's own rows.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Runs an operation whose writes count only if it succeeds.
    pub(super) fn attempt<T>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, RoomError>,
    ) -> Result<T, RoomError> {
        let depth = self.store.begin();
        let result = operation(self);
        self.store.end(depth, result.is_ok());
        result
    }

    /// Runs an operation on a copy: none of its writes count.
    pub(super) fn pretend<T>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, RoomError>,
    ) -> Result<T, RoomError> {
        let depth = self.store.begin();
        let result = operation(self);
        self.store.end(depth, false);
        result
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} values, secret)", self.store.tables().kept.len())
    }
}

/// Storage and cryptography for one operation.
pub(super) struct Provider<'a> {
    store: &'a Store,
    crypto: &'a CryptoProvider,
}

impl OpenMlsProvider for Provider<'_> {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        self.store
    }

    fn crypto(&self) -> &CryptoProvider {
        self.crypto
    }

    fn rand(&self) -> &CryptoProvider {
        self.crypto
    }
}

/// Values that were written and not taken yet; `None` is a deletion.
type Layer = BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>;

struct Tables {
    kept: HashMap<Vec<u8>, Kept>,
    /// What changed since the last taking; above it the operations that are under way.
    layers: Vec<Layer>,
}

/// The storage that MLS sees. The lock is for the library's `&self` alone, and never contended.
pub(super) struct Store(Mutex<Tables>);

impl Store {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing can panic half way through a change of the tables.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let tables = self.tables();
        if let Some(value) = tables.layers.iter().rev().find_map(|layer| layer.get(key)) {
            return Ok(value.clone());
        }
        tables.kept.get(key).map_or(Ok(None), Kept::value)
    }

    /// Writes a value, or deletes it.
    pub(super) fn set(&self, key: Vec<u8>, value: Option<Zeroizing<Vec<u8>>>) {
        if let Some(layer) = self.tables().layers.last_mut() {
            layer.insert(key, value);
        }
    }

    fn begin(&self) -> usize {
        let mut tables = self.tables();
        tables.layers.push(Layer::new());
        tables.layers.len()
    }

    fn end(&self, depth: usize, keep: bool) {
        let mut tables = self.tables();
        if tables.layers.len() != depth {
            return;
        }
        let layer = tables.layers.pop().unwrap_or_default();
        if keep && let Some(below) = tables.layers.last_mut() {
            below.extend(layer);
        }
    }
}
