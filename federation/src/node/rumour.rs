//! What goes between the swarm and those who judge gossip.

use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};

/// A message that a neighbour has brought.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) from: PeerId,
    pub(crate) id: MessageId,
    pub(crate) author: Option<PeerId>,
    pub(crate) words: Vec<u8>,
}

/// What is to be done with a message.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) from: PeerId,
    pub(crate) id: MessageId,
    pub(crate) acceptance: MessageAcceptance,
}
