//! Replacing a key by a new one: what that changes, without writing anything.

use std::fmt;

use posthouse_crypto::SigningKey;
use posthouse_spec::limits::MAX_NODES;
use posthouse_spec::{Millis, PublicKey};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::{KeySince, Keys, RetiringNode};

/// How long a node key that was replaced stays listed, milliseconds: a week. Envelopes that it signed may lie with
/// holders of mailbags for days.
pub const OVERLAP_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Node keys before the current one that are listed at most.
const MAX_RETIRING: usize = MAX_NODES - 1;
/// How far back a node key is good, milliseconds: a day, for clocks that are behind.
pub(crate) const NODE_BACKDATE_MS: u64 = 24 * 60 * 60 * 1000;

/// A key that can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The node key.
    Node,
    /// The ordering key.
    Ordering,
    /// The root key.
    Root,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Ordering => "ordering",
            Self::Root => "root",
        })
    }
}

/// How long the old key goes on being good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// For [`OVERLAP_MS`].
    Week,
    /// Not at all: somebody else may have it.
    None,
}

impl Keys {
    /// Replaces a key. Only a node key has an overlap: who signs manifests and decisions is never in doubt.
    pub fn rotate(&mut self, which: Which, overlap: Overlap, now: Millis, rng: &mut impl CryptoRng) {
        match which {
            Which::Node => self.rotate_node(now, overlap, rng),
            Which::Ordering => self.rotate_ordering(now, rng),
            Which::Root => self.rotate_root(now, rng),
        }
    }

    /// The public half of a key that can be replaced.
    #[must_use]
    pub fn public(&self, which: Which) -> PublicKey {
        match which {
            Which::Node => self.node.public(),
            Which::Ordering => self.ordering.public(),
            Which::Root => self.root.public(),
        }
    }

    /// Makes a new node key. The old one stays listed for the overlap; without one, no older key stays at all.
    pub fn rotate_node(&mut self, now: Millis, overlap: Overlap, rng: &mut impl CryptoRng) {
        let old = std::mem::replace(&mut self.node, KeySince::generate(now, rng));
        match overlap {
            Overlap::None => self.retiring.clear(),
            Overlap::Week => {
                let since = old.since.unwrap_or_default();
                let retiring = RetiringNode {
                    key: old.public(),
                    not_before: Millis(since.0.saturating_sub(NODE_BACKDATE_MS)),
                    not_after: now.after(OVERLAP_MS),
                };
                self.retiring.insert(0, retiring);
                self.expire(now);
                self.retiring.truncate(MAX_RETIRING);
            }
        }
    }

    /// Makes a new ordering key.
    pub fn rotate_ordering(&mut self, now: Millis, rng: &mut impl CryptoRng) {
        self.ordering = KeySince::generate(now, rng);
    }

    /// Makes the next root key the root, and a new next one. What signs the next manifest is then the key that every
    /// manifest before it has announced.
    pub fn rotate_root(&mut self, now: Millis, rng: &mut impl CryptoRng) {
        let next = std::mem::replace(&mut self.next_root, SigningKey::generate(rng));
        self.root = KeySince { key: next, since: Some(now) };
    }

    /// Forgets node keys whose time is over.
    pub fn expire(&mut self, now: Millis) {
        self.retiring.retain(|node| now <= node.not_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn an_old_node_key_is_listed_for_a_week_and_no_longer() {
        let rng = &mut rand::rng();
        let mut keys = Keys::generate(NOW, rng);
        let (first, later) = (keys.node.public(), NOW.after(1000));
        keys.rotate_node(later, Overlap::Week, rng);
        assert_ne!(keys.node.public(), first);
        assert_eq!((keys.retiring[0].key, keys.retiring[0].not_after), (first, later.after(OVERLAP_MS)));
        keys.expire(later.after(OVERLAP_MS));
        assert_eq!(keys.retiring.len(), 1);
        keys.expire(later.after(OVERLAP_MS + 1));
        assert!(keys.retiring.is_empty());
    }

    #[test]
    fn a_stolen_node_key_takes_all_older_ones_with_it() {
        let rng = &mut rand::rng();
        let mut keys = Keys::generate(NOW, rng);
        keys.rotate_node(NOW, Overlap::Week, rng);
        keys.rotate_node(NOW, Overlap::None, rng);
        assert!(keys.retiring.is_empty());
    }

    #[test]
    fn keys_that_are_replaced_again_and_again_fit_a_manifest() {
        let rng = &mut rand::rng();
        let mut keys = Keys::generate(NOW, rng);
        for _ in 0..2 * MAX_NODES {
            keys.rotate_node(NOW, Overlap::Week, rng);
        }
        assert_eq!(keys.retiring.len() + 1, MAX_NODES);
    }

    #[test]
    fn the_root_is_followed_by_the_key_that_was_announced() {
        let rng = &mut rand::rng();
        let mut keys = Keys::generate(NOW, rng);
        let announced = keys.next_root.public();
        keys.rotate_root(NOW, rng);
        assert_eq!(keys.root.public(), announced);
        assert_ne!(keys.next_root.public(), announced);
    }
}
