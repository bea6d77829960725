//! What mailbags need of the node: questions to holders, envelopes for a lane whose destination is down, and word of a
//! holder's return.
//!
//! The work itself (what to leave, what is held, what to collect) is the relay's: it has the outbox, the inbox and the store.

use std::sync::Arc;

use posthouse_crypto::Verified;
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope};
use posthouse_spec::limits::MAX_ENVELOPE_ITEMS;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{MailbagRequest, MailbagResponse};
use posthouse_spec::{Domain, Incarnation, LaneSeq, Signed};

use super::handle::Federation;
use super::peers::{Peer, Session, Watch, until};
use crate::error::PeerError;
use crate::host::{LaneId, MAX_LANE_ITEM, OutboundItem};

impl Federation {
    /// Asks a holder of mailbags.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken: a holder's `holder-full` and `not-a-holder`
    /// come so too.
    pub async fn mailbag(
        &self,
        holder: &Domain,
        request: MailbagRequest,
    ) -> Result<MailbagResponse, PeerError> {
        self.requests.mailbag(holder, &request).await
    }

    /// Whether the operator federates with a relay.
    #[must_use]
    pub fn permits(&self, domain: &Domain) -> bool {
        self.own.permits(domain)
    }

    /// Whether a session with a relay stands now.
    #[must_use]
    pub fn is_connected(&self, domain: &Domain) -> bool {
        self.peers.peer(domain).session().is_some()
    }

    /// What is pinned for a relay, without asking anybody.
    ///
    /// # Errors
    /// This relay's own store failed.
    pub async fn pinned_manifest(&self, domain: &Domain) -> Result<Option<Verified<Manifest>>, PeerError> {
        self.directory.pinned(domain).await
    }

    /// Packs the run of items that begins at `first` into one envelope, signed as for the lane itself; nothing where
    /// there is no such run. What does not fit any more is left out.
    #[must_use]
    pub fn envelope(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        first: LaneSeq,
        items: Vec<OutboundItem>,
    ) -> Option<Signed<Envelope>> {
        let mut packed = Vec::new();
        let mut total = 0;
        for (expected, item) in (first.0..).zip(items).take(MAX_ENVELOPE_ITEMS) {
            // Five bytes are the longest head of a byte string of this size.
            total += item.bytes.len() + 5;
            if item.seq.0 != expected || total > MAX_LANE_ITEM + 5 {
                break;
            }
            packed.push(Octets::new(item.bytes).ok()?);
        }
        if packed.is_empty() {
            return None;
        }
        Some(self.own.key.sign(&Envelope {
            version: ENVELOPE_VERSION,
            origin: self.own.domain.clone(),
            destination: lane.peer.clone(),
            class: lane.class,
            incarnation,
            first,
            created: self.own.now(),
            items: List::new(packed).ok()?,
        }))
    }

    /// Follows when a relay is connected.
    #[must_use]
    pub fn arrivals(&self, domain: &Domain) -> Arrivals {
        let peer = self.peers.peer(domain);
        Arrivals { watch: peer.watch(), seen: None, _peer: peer }
    }
}

/// Follows when a relay is connected.
pub struct Arrivals {
    watch: Watch,
    seen: Option<Arc<Session>>,
    /// What is remembered of the relay stays as long as somebody follows it.
    _peer: Arc<Peer>,
}

impl Arrivals {
    /// The session that stands now, if any, counts as seen.
    pub fn skip_current(&mut self) {
        self.seen = self.watch.borrow().clone();
    }

    /// Returns when there is a session that was not seen before; never, once the node has ended.
    pub async fn next(&mut self) {
        let seen = self.seen.as_ref().map(|session| session.connection);
        let fresh = |current: &Option<Arc<Session>>| {
            current.as_ref().is_some_and(|session| Some(session.connection) != seen)
        };
        match until(&mut self.watch, fresh).await {
            Some(session) => self.seen = Some(session),
            None => std::future::pending().await,
        }
    }
}
