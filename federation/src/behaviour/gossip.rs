//! Gossip: gossipsub with one topic, on which relays tell each other of manifests.
//!
//! Messages are signed by the node that wrote them, and handed on only once the node has judged them. A peer is heard
//! once it has said hello ([`Held`]); its score falls with what it brings that does not hold, and somebody below the
//! graylist's mark is not heard at all until it has decayed. Delivery never depends on any of this.
//!
//! Of what is known against libp2p-gossipsub, version 0.50.1 has all that is mended: a PRUNE whose backoff overflows the
//! clock (CVE-2026-33040 at once, CVE-2026-34219 at the next heartbeat), GRAFTs that make a peer's topics grow without
//! bound (GHSA-g3g5-x568-qvqx), and PRUNEs of topics that were never joined (GHSA-vrx6-jcp8-vm7m). The whitelist of
//! topics and the bounds below stand in front of the same again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, MaxCountSubscriptionFilter, Message, MessageAuthenticity, MessageId,
    PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use posthouse_crypto::sha256;
use posthouse_spec::limits::MAX_GOSSIP;

use super::held::Held;

/// The topic of manifests.
const MANIFESTS: &str = "/posthouse/gossip/manifests/1";
/// What signature, author, topic and number add to a message, bytes; generous.
const MAX_OVERHEAD: usize = 512;
/// The largest frame, bytes: a few messages, or the names of many.
const MAX_FRAME: usize = 4 * (MAX_GOSSIP + MAX_OVERHEAD);
/// Messages and control messages in one frame.
const MAX_MESSAGES: usize = 16;
const MAX_CONTROL: usize = 256;
/// What waits to be written to one peer; what is more is not sent.
const MAX_QUEUE: usize = 128;
/// For how long a message is known again. Shorter than the time between two announcements of one manifest.
const DUPLICATES: Duration = Duration::from_secs(10 * 60);
/// In which time a bad mark is forgotten, and how long those are remembered who are gone: a new connection is no pardon.
const FORGIVENESS: Duration = Duration::from_secs(10 * 60);
/// In which time a good deed is forgotten.
const GRATITUDE: Duration = Duration::from_secs(60 * 60);

type Filter = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;

/// The behaviour, where gossip is on.
pub(crate) type Gossip = Held<Toggle<gossipsub::Behaviour<gossipsub::IdentityTransform, Filter>>>;

/// The topic of manifests.
pub(crate) fn manifests() -> IdentTopic {
    IdentTopic::new(MANIFESTS)
}

/// The behaviour of a node with this key.
pub(super) fn gossip(own: &Keypair, on: bool) -> Result<Gossip, String> {
    let behaviour = on.then(|| behaviour(own)).transpose()?;
    Ok(Held::new(behaviour.into(), |_| true))
}

fn behaviour(own: &Keypair) -> Result<gossipsub::Behaviour<gossipsub::IdentityTransform, Filter>, String> {
    let topic = manifests();
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(name)
        .max_transmit_size(MAX_FRAME)
        .max_transmit_size_for_topic(MAX_GOSSIP + MAX_OVERHEAD, topic.hash())
        .max_publish_messages(MAX_MESSAGES)
        .max_control_messages_sent(MAX_CONTROL)
        .connection_handler_queue_len(MAX_QUEUE)
        .duplicate_cache_time(DUPLICATES)
        .build()
        .map_err(|error| format!("gossip: {error}"))?;
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([topic.hash()])),
        max_subscribed_topics: 1,
        max_subscriptions_per_request: 16,
    };
    let signing = MessageAuthenticity::Signed(own.clone());
    let mut behaviour = gossipsub::Behaviour::new_with_subscription_filter(signing, config, filter)?;
    behaviour.with_peer_score(score(&topic), thresholds())?;
    behaviour.subscribe(&topic).map_err(|error| format!("gossip: {error}"))?;
    Ok(behaviour)
}

/// A message is known by its author and what it says. Without the author, anybody could have another's words refused
/// beforehand by saying them first.
fn name(message: &Message) -> MessageId {
    let mut bytes = message.source.map(|author| author.to_bytes()).unwrap_or_default();
    bytes.extend_from_slice(&message.data);
    MessageId::new(&sha256(&bytes))
}

/// For a topic that is quiet for hours, in a network of a few relays up to a few thousand: nothing is asked of a peer's
/// zeal. One message that does not hold outweighs a day's good conduct, three are too many.
fn score(topic: &IdentTopic) -> PeerScoreParams {
    let manifests = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(60),
        time_in_mesh_cap: 500.0,
        first_message_deliveries_weight: 0.5,
        first_message_deliveries_decay: gossipsub::score_parameter_decay(GRATITUDE),
        first_message_deliveries_cap: 10.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -20.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(FORGIVENESS),
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: HashMap::from([(topic.hash(), manifests)]),
        // Relays of one provider, or of one house, share addresses.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_decay: gossipsub::score_parameter_decay(FORGIVENESS),
        retain_score: FORGIVENESS,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -50.0,
        graylist_threshold: -100.0,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 1.0,
    }
}
