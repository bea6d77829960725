//! The ordering key as the running relay signs with it: it may be replaced at any time.
//!
//! A decision names the manifest whose ordering key signs it, so both must be looked up as one: the manifest first, and
//! then the key that it names.

use std::sync::{Arc, PoisonError, RwLock};

use posthouse_crypto::SigningKey;
use posthouse_spec::PublicKey;

/// The ordering key. Clones share it.
#[derive(Debug, Clone)]
pub struct OrderingKey(Arc<RwLock<Ring>>);

#[derive(Debug)]
struct Ring {
    current: Arc<SigningKey>,
    /// The key that takes over with the next manifest.
    next: Option<Arc<SigningKey>>,
}

impl OrderingKey {
    /// Signs with this key until it is replaced.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self(Arc::new(RwLock::new(Ring { current: Arc::new(key), next: None })))
    }

    /// The key that signs what names no manifest.
    #[must_use]
    pub fn current(&self) -> Arc<SigningKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// The key that a manifest names, if it is this relay's newest or the one before it that is going out of use.
    #[must_use]
    pub fn named(&self, public: &PublicKey) -> Option<Arc<SigningKey>> {
        // Each change is one step, so a writer that panicked leaves a sound value.
        let ring = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = |key: &&Arc<SigningKey>| key.public() == *public;
        Some(&ring.current).into_iter().chain(&ring.next).find(named).cloned()
    }

    /// Makes a key ready, before the manifest that names it is announced.
    pub fn prepare(&self, key: SigningKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).next = Some(Arc::new(key));
    }

    /// The manifest that names the prepared key is announced: the key before it is forgotten.
    pub fn take_over(&self) {
        let mut ring = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = ring.next.take() {
            ring.current = next;
        }
    }
}

impl From<Arc<SigningKey>> for OrderingKey {
    fn from(key: Arc<SigningKey>) -> Self {
        Self(Arc::new(RwLock::new(Ring { current: key, next: None })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_which_key_signs() {
        let rng = &mut rand::rng();
        let (old, new) = (SigningKey::generate(rng), SigningKey::generate(rng));
        let (old_public, new_public) = (old.public(), new.public());
        let ordering = OrderingKey::new(old);
        ordering.prepare(new);
        for public in [old_public, new_public] {
            assert_eq!(ordering.named(&public).unwrap().public(), public);
        }
        ordering.take_over();
        assert!(ordering.named(&old_public).is_none());
        assert_eq!(ordering.named(&new_public).unwrap().public(), new_public);
    }
}
