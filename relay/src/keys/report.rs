//! What an operator is told of the keys: public parts, PeerIds and times, and what replacing one of them has done. Never
//! a secret.

use posthouse_spec::manifest::Manifest;
use posthouse_spec::{ManifestSeq, Millis, PublicKey};
use serde::{Deserialize, Serialize};

use super::{Keys, Overlap, Which};

/// One key, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// What it is for: `root`, `next root`, `ordering`, `node`, or `old node`.
    pub role: String,
    /// The public half, 64 hexadecimal digits.
    pub public: String,
    /// The PeerId, of a node key.
    pub peer_id: Option<String>,
    /// Since when it has been in use, milliseconds since 1970, where that is known.
    pub since: Option<u64>,
    /// Until when it is good, milliseconds since 1970; without it, until it is replaced.
    pub until: Option<u64>,
}

/// All keys, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysReport {
    /// The position of the newest manifest, if the relay ever served.
    pub manifest: Option<u64>,
    /// The keys.
    pub keys: Vec<KeyLine>,
}

/// What replacing a key has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Which key.
    pub which: Which,
    /// The public half of the key before.
    pub before: String,
    /// The public half of the new one.
    pub after: String,
    /// The PeerId of a new node key.
    pub peer_id: Option<String>,
    /// Until when the key before stays good, milliseconds since 1970.
    pub until: Option<u64>,
    /// The manifest that names the new key; none where the relay has never served.
    pub manifest: Option<u64>,
    /// Whether the relay runs, and uses the new key already.
    pub running: bool,
}

fn peer_id(key: &PublicKey) -> Option<String> {
    posthouse_federation::peer_id(key).map(|id| id.to_string())
}

fn hex_of(key: &PublicKey) -> String {
    hex::encode(key.as_bytes())
}

impl KeysReport {
    /// What is to be shown of the keys at `now`, with the newest manifest.
    #[must_use]
    pub fn of(keys: &Keys, manifest: Option<&Manifest>, now: Millis) -> Self {
        let line = |role: &str, key: PublicKey, since: Option<Millis>| KeyLine {
            role: role.to_owned(),
            public: hex_of(&key),
            peer_id: None,
            since: since.map(|since| since.0),
            until: None,
        };
        let listed = |key: &PublicKey| {
            let node = manifest?.nodes.iter().find(|node| node.key == *key)?;
            Some(node.not_after.0)
        };
        let node = keys.node.public();
        let mut lines = vec![
            line("root", keys.root.public(), keys.root.since),
            line("next root", keys.next_root.public(), None),
            line("ordering", keys.ordering.public(), keys.ordering.since),
            KeyLine { peer_id: peer_id(&node), until: listed(&node), ..line("node", node, keys.node.since) },
        ];
        for old in keys.retiring.iter().filter(|old| now <= old.not_after) {
            lines.push(KeyLine {
                peer_id: peer_id(&old.key),
                until: Some(old.not_after.0),
                ..line("old node", old.key, Some(old.not_before))
            });
        }
        Self { manifest: manifest.map(|manifest| manifest.seq.0), keys: lines }
    }
}

impl Replaced {
    /// What has become of the key `before`; the relay is taken to run.
    #[must_use]
    pub fn new(
        which: Which,
        overlap: Overlap,
        before: PublicKey,
        keys: &Keys,
        manifest: Option<ManifestSeq>,
    ) -> Self {
        let after = keys.public(which);
        let stays = keys.retiring.iter().find(|old| old.key == before && overlap == Overlap::Week);
        Self {
            which,
            before: hex_of(&before),
            after: hex_of(&after),
            peer_id: if which == Which::Node { peer_id(&after) } else { None },
            until: stays.map(|old| old.not_after.0),
            manifest: manifest.map(|seq| seq.0),
            running: true,
        }
    }
}
