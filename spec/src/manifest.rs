//! A relay's manifest: what it says of itself, signed by its root key and chained to the one before.

use crate::cbor::{List, Text};
use crate::ids::{KeyHash, Lineage, ManifestHash, ManifestSeq, Millis, PublicKey, SealKey};
use crate::limits::{MAX_ADDRESSES, MAX_CIRCUITS, MAX_HOLDERS, MAX_MANIFEST, MAX_NODES, MAX_URL};
use crate::name::Domain;
use crate::record;
use crate::sign1::Payload;

/// Where a manifest is published, below the client URL or `https://DOMAIN`.
pub const WELL_KNOWN_PATH: &str = "/.well-known/posthouse/manifest";
/// Where the earlier manifests of the chain are published: this path, a slash, and the position in decimal.
pub const CHAIN_PATH: &str = "/.well-known/posthouse/manifests";
/// The media type of a signed manifest.
pub const MEDIA_TYPE: &str = "application/cose; cose-type=\"cose-sign1\"";

record! {
    /// One node of a relay: the key of its libp2p PeerId, which also signs envelopes.
    pub struct Node {
        /// The Ed25519 key.
        1 => key: PublicKey,
        /// From when it is good.
        2 => not_before: Millis,
        /// Until when it is good.
        3 => not_after: Millis,
    }
}

record! {
    /// Where envelopes may be left for this relay while it is down, and the key that they are sealed to.
    pub struct MailbagOffer {
        /// The X25519 key.
        1 => key: SealKey,
        /// The relays that hold them, in the order in which they are tried.
        2 => holders: List<Domain, MAX_HOLDERS>,
    }
}

record! {
    /// What a relay says of itself.
    pub struct Manifest {
        /// The relay's domain.
        1 => domain: Domain,
        /// Its position in the relay's chain of manifests.
        2 => seq: ManifestSeq,
        /// The hash of the manifest before it; absent in the first.
        3 => previous: Option<ManifestHash>,
        /// The key that signs this manifest.
        4 => root: PublicKey,
        /// SHA-256 of the root key that comes next.
        5 => next_root: KeyHash,
        /// The key that signs Decisions and alias bindings.
        6 => ordering: PublicKey,
        /// The relay's nodes.
        7 => nodes: List<Node, MAX_NODES>,
        /// Where they listen: libp2p multiaddresses in text form.
        8 => addresses: List<Text<MAX_URL>, MAX_ADDRESSES>,
        /// The base URL for clients, such as `https://a.example`.
        9 => client_url: Text<MAX_URL>,
        /// When it was made.
        10 => created: Millis,
        /// The hash of the first manifest; absent in the first itself.
        11 => lineage: Option<Lineage>,
        /// Its mailbags, if it has any.
        -1 => mailbags: Option<MailbagOffer>,
        /// The relays through which it can be reached by circuit, where it has no public address.
        -2 => circuits: Option<List<Domain, MAX_CIRCUITS>>,
    }
}

impl Payload for Manifest {
    const LABEL: &'static str = crate::labels::MANIFEST;
    const LIMIT: usize = MAX_MANIFEST;
}

impl Manifest {
    /// Whether `key` is a node of this relay at `now`.
    #[must_use]
    pub fn lists_node(&self, key: &PublicKey, now: Millis) -> bool {
        self.nodes.iter().any(|node| node.key == *key && node.not_before <= now && now <= node.not_after)
    }
}
