//! A node's key as libp2p sees it: the PeerId is the Ed25519 public key itself, in an identity multihash.

use libp2p::PeerId;
use libp2p::identity::{PublicKey as PeerKey, ed25519};
use posthouse_spec::PublicKey;

/// The PeerId of a node key; none for bytes that are no curve point.
pub(crate) fn peer_of(key: &PublicKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(PeerKey::from(key).to_peer_id())
}

/// The PeerId of a node key in its text form, as multiaddresses name it; none for bytes that are no curve point.
#[must_use]
pub fn peer_id(key: &PublicKey) -> Option<String> {
    peer_of(key).map(|peer| peer.to_string())
}

/// The node key in a PeerId; none for another kind of key.
pub(crate) fn node_key_of(peer: &PeerId) -> Option<PublicKey> {
    let key = PeerKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    Some(PublicKey::new(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthouse_crypto::SigningKey;

    #[test]
    fn a_node_key_and_its_peer_id_are_the_same_thing() {
        let key = SigningKey::from_seed(&[3; 32]).public();
        let peer = peer_of(&key).expect("a real key");
        assert_eq!(node_key_of(&peer), Some(key));
        assert_eq!(node_key_of(&PeerId::random()), None);
    }
}
