//! What the relay brings: its outbox, its inbox, its answers, and the manifests that it has pinned.
//!
//! The traits are cut by role. Everything that a method says it has written is durable when the method returns, because
//! the federation acknowledges on the strength of it.

use async_trait::async_trait;
use bytes::Bytes;
use posthouse_crypto::Verified;
use posthouse_spec::envelope::{Envelope, LaneClass};
use posthouse_spec::limits::MAX_ENVELOPE;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::deliver::RefusedItem;
use posthouse_spec::peer::hello::{LaneCursor, PeerRule};
use posthouse_spec::peer::{
    KeysRequest, KeysResponse, MailbagRequest, MailbagResponse, RoomRequest, RoomResponse,
};
use posthouse_spec::{Domain, Incarnation, LaneSeq, ManifestSeq, Millis, Signed};

/// The largest item that a lane carries, bytes: an envelope of one item, without the envelope's own fields and
/// signature. An outbox refuses a larger one when it is put in.
pub const MAX_LANE_ITEM: usize = MAX_ENVELOPE - 4096;

/// One outgoing lane, whatever its incarnation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The destination.
    pub peer: Domain,
    /// What the lane carries.
    pub class: LaneClass,
}

impl std::fmt::Display for LaneId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lane to {}", self.class, self.peer)
    }
}

/// One item that waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundItem {
    /// Its position.
    pub seq: LaneSeq,
    /// The encoded [`Item`](posthouse_spec::envelope::Item).
    pub bytes: Bytes,
}

/// Where an outgoing lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneState {
    /// The lane's life.
    pub incarnation: Incarnation,
    /// The oldest item that is still kept; equal to `next` when nothing waits.
    pub oldest: LaneSeq,
    /// The position that the next item will get.
    pub next: LaneSeq,
    /// No item at this position or behind it has ever left this relay. It is `next` where that is not known better.
    pub handed: LaneSeq,
}

impl LaneState {
    /// How many items wait.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.next.0.saturating_sub(self.oldest.0)
    }
}

/// The relay failed inside: its store is gone or full. The federation tries again later.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HostError(String);

impl HostError {
    /// Wraps what went wrong, in words.
    #[must_use]
    pub fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// The durable queues to other relays.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The lanes on which anything waits.
    async fn lanes(&self) -> Result<Vec<LaneId>, HostError>;

    /// The relays to greet at start: all with which this one shares a room or a lane.
    async fn neighbours(&self) -> Result<Vec<Domain>, HostError>;

    /// Where one lane stands. A lane that was never used has nothing waiting, and an incarnation all the same.
    async fn lane(&self, lane: &LaneId) -> Result<LaneState, HostError>;

    /// The items from `from` on, consecutive, at most `max_items` of at most `max_bytes` together; one item at least
    /// if there is any, even when it alone is larger than `max_bytes`. Nothing when the lane has begun another life.
    async fn items(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        from: LaneSeq,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutboundItem>, HostError>;

    /// Everything below `next` of that incarnation is durable at the destination, or refused there for good: it may
    /// go from the outbox, and what was refused is told to its senders. The same news may come twice.
    async fn acknowledged(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        next: LaneSeq,
        refused: Vec<RefusedItem>,
    ) -> Result<(), HostError>;

    /// Where the lanes to a relay stand, those that were ever used.
    async fn lanes_to(&self, peer: &Domain) -> Result<Vec<(LaneClass, LaneState)>, HostError>;

    /// The lane cannot go on in that life, because one of the two relays was restored from a copy: it begins another one
    /// with everything that waits, numbered from 1. Nothing happens if that life has ended already.
    async fn begin_new_life(&self, lane: &LaneId, incarnation: Incarnation) -> Result<(), HostError>;
}

/// What the inbox has made of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The lane's cursor now.
    pub next: LaneSeq,
    /// The items that were not delivered, and why.
    pub refused: Vec<RefusedItem>,
}

/// Why an envelope was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The relay failed inside; the origin is told to come back later.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The first item lies ahead of the cursor.
    #[error("the lane's cursor stands at {expected}")]
    Gap {
        /// The position that the cursor expects.
        expected: LaneSeq,
    },
    /// The origin broke another rule.
    #[error("{0}: {1}")]
    Rule(PeerRule, String),
}

/// The durable inbox: one cursor for each (origin, class, incarnation), in the same transaction as the items.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// The position from which a lane goes on whose origin still has everything from `oldest` on; 1 for a lane that was
    /// never seen. That may lie before the cursor, down to the first item whose refusal the origin may not have heard of:
    /// [`receive`](Self::receive) gives the refusal again when the item comes again.
    async fn cursor(
        &self,
        origin: &Domain,
        class: LaneClass,
        incarnation: Incarnation,
        oldest: LaneSeq,
    ) -> Result<LaneSeq, HostError>;

    /// The cursors of all live lanes from one relay, for `hello`.
    async fn cursors(&self, origin: &Domain) -> Result<Vec<LaneCursor>, HostError>;

    /// Takes an envelope: drops what the cursor has passed, stores the rest, and moves the cursor, durably.
    async fn receive(&self, origin: &Domain, envelope: Verified<Envelope>) -> Result<Received, ReceiveError>;
}

/// The relay's answers to other relays.
#[async_trait]
pub trait Service: Send + Sync {
    /// Account chains and key package claims.
    async fn keys(&self, from: &Domain, request: KeysRequest) -> KeysResponse;

    /// What a room's hub is asked.
    async fn room(&self, from: &Domain, request: RoomRequest) -> RoomResponse;

    /// What a holder of mailbags is asked.
    async fn mailbag(&self, from: &Domain, request: MailbagRequest) -> MailbagResponse;
}

/// The manifests by which other relays are known, one for each domain, each followed along its chain.
#[async_trait]
pub trait Pins: Send + Sync {
    /// The newest manifest that was pinned for a domain.
    async fn pinned(&self, domain: &Domain) -> Result<Option<Signed<Manifest>>, HostError>;

    /// Pins a manifest that was checked against the one before it, which is kept too.
    async fn pin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), HostError>;

    /// The oldest kept manifest of a domain at this position or behind it: the one of the position itself, or one from
    /// which the links before it can be followed back.
    async fn pinned_from(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Signed<Manifest>>, HostError>;

    /// Keeps an earlier link of a domain's chain that was proven to lie before a pinned manifest.
    async fn keep_link(&self, domain: &Domain, link: &Signed<Manifest>) -> Result<(), HostError>;

    /// Keeps evidence. Whether it is new.
    async fn keep_evidence(&self, domain: &Domain, evidence: &Evidence) -> Result<bool, HostError>;

    /// The evidence against a domain, the oldest first.
    async fn evidence(&self, domain: &Domain) -> Result<Vec<Evidence>, HostError>;

    /// Begins anew with a domain, at its operator's word: the pin and all links are replaced by this manifest, and the
    /// evidence counts as settled.
    async fn repin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), HostError>;
}

/// Two manifests of one position, both by keys that could sign it: somebody else has a root key of that relay, or its
/// store was restored from a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The one that was pinned when the other one came.
    pub pinned: Signed<Manifest>,
    /// The other one.
    pub other: Signed<Manifest>,
    /// When it was found.
    pub found: Millis,
    /// Whether the operator has decided since. Until then nothing newer of that domain is followed.
    pub settled: bool,
}

/// All that the federation needs of the relay.
pub trait Host: Outbox + Inbox + Service + Pins {}
