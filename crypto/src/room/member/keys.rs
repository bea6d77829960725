//! The keys of a device's rooms, in memory, with the writes that its vault has not yet taken.

/// One row that changed: to be written, or to be deleted where there is no value.
pub struct KeyWrite {
    /// The row's key.
    pub key: Vec<u8>,
    /// Its new value; `None` deletes the row.
    pub value: Option<Vec<u8>>,
}

/// Every MLS secret of a device.
pub struct Keys {}

impl Keys {
    /// The keys that a vault holds, as rows.
    #[must_use]
    pub fn load(_rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        unimplemented!()
    }
    /// The rows that changed since the last call, for the vault's transaction.
    #[must_use]
    pub fn take_writes(&mut self) -> Vec<KeyWrite> {
        unimplemented!()
    }
    /// Forgets what was not taken: the state is that of the last [`Keys::take_writes`] again. Every open
    /// [`Room`](super::Room) must be loaded again.
    pub fn rollback(&mut self) {
        unimplemented!()
    }
}
