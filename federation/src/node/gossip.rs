//! What relays tell each other of third ones: the newest manifests, handed on from relay to relay.
//!
//! A relay tells its own manifest when it changes, and every hour for those that are new. What it hears it judges as if
//! the domain itself had shown it, except that a domain that is not pinned here is none of its business: nobody is ever
//! pinned for the first time on hearsay. Only what holds is handed on. A manifest that is too large to be gossiped is
//! shown in hellos alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::gossipsub::{Event, MessageAcceptance, PublishError};
use posthouse_crypto::manifest::follow;
use posthouse_crypto::manifest_hash;
use posthouse_spec::limits::MAX_GOSSIP;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Millis, Signed};
use tokio::sync::mpsc;

use super::directory::{Directory, NotAdopted, may_be_bridged};
use super::network::{Network, SwarmTask};
use super::own::Own;
use super::peers::Peers;
use super::rumour::{Heard, Judgement};
use super::tasks::Tasks;
use super::verdicts::punish;
use crate::behaviour::{manifests, node_key_of};

/// Messages that wait to be judged; more are not handed on, and come again within the hour.
pub(crate) const MAX_HEARD: usize = 256;
/// How often a relay tells its manifest.
const ANNOUNCEMENT: Duration = Duration::from_secs(60 * 60);
/// Messages that one neighbour may bring at once, and in what time it may bring one more, milliseconds: ten thousand
/// relays an hour.
const BURST: u64 = 512;
const REFILL_MS: u64 = 250;
/// Manifests of one domain that are handed on at once, and in what time one more is, milliseconds. Else a relay that changes
/// without end would have honest ones bring their neighbours more than these allow.
const BURST_OF_DOMAIN: u64 = 8;
const REFILL_OF_DOMAIN_MS: u64 = 10_000;
/// Manifests that are handed on at once, of all domains together, and in what time one more is, milliseconds: less than one
/// neighbour may bring another, whatever this relay's own bring.
const BURST_OF_ALL: u64 = 256;
const REFILL_OF_ALL_MS: u64 = 300;
/// Neighbours, and domains, whose count is kept.
const MAX_COUNTED: usize = 4096;

/// What a message is worth.
#[derive(Debug)]
enum Worth {
    /// It holds, and is new or still the newest: it is handed on, unless its domain says too much.
    Good(Domain),
    /// Nothing that this relay could judge, or needs.
    Nothing,
    /// It may hold, but links before it are missing here.
    Ahead(Domain, Box<Signed<Manifest>>),
    /// Nobody who judged it would have handed it on.
    Bad(String),
}

/// Tells and hears.
pub(crate) struct Gossip {
    pub(crate) own: Arc<Own>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) network: Network,
    pub(crate) tasks: Tasks,
}

impl Gossip {
    /// Tells and hears until the node ends.
    pub(crate) async fn run(self, mut heard: mpsc::Receiver<Heard>) {
        let mut counts = Counts::new(BURST, REFILL_MS);
        let mut told = Told::new();
        let mut announcements = tokio::time::interval(ANNOUNCEMENT);
        loop {
            tokio::select! {
                _ = announcements.tick() => self.tell().await,
                () = self.own.changed() => self.tell().await,
                message = heard.recv() => match message {
                    Some(message) => self.hear(message, &mut counts, &mut told).await,
                    None => return,
                },
            }
        }
    }

    async fn tell(&self) {
        let manifest = self.own.manifest();
        let bytes = manifest.signed().as_bytes();
        if bytes.len() > MAX_GOSSIP {
            tracing::debug!(
                size = bytes.len(),
                limit = MAX_GOSSIP,
                "the manifest is too large to be gossiped"
            );
            return;
        }
        self.network.publish(bytes.to_vec()).await;
    }

    async fn hear(&self, message: Heard, counts: &mut Counts<PeerId>, told: &mut Told) {
        let Heard { from, id, author, words } = message;
        let worth = match counts.take(from, self.own.now()) {
            true => self.weigh(author, words).await,
            // A neighbour that is quick to hand on, or a clock that was set back here, is nobody's fault.
            false => Worth::Nothing,
        };
        let acceptance = match worth {
            Worth::Good(domain) if told.take(domain.clone(), self.own.now()) => MessageAcceptance::Accept,
            Worth::Good(_) | Worth::Nothing => MessageAcceptance::Ignore,
            Worth::Ahead(domain, manifest) => {
                let directory = Arc::clone(&self.directory);
                self.tasks.spawn_cancellable(async move { directory.catch_up(&domain, &manifest).await });
                MessageAcceptance::Ignore
            }
            Worth::Bad(why) => {
                self.report(from, &why).await;
                MessageAcceptance::Reject
            }
        };
        self.network.judge(Judgement { from, id, acceptance }).await;
    }

    async fn report(&self, from: PeerId, why: &str) {
        let domain = self.peers.domain_of(from);
        let who = domain.as_ref().map_or_else(|| from.to_string(), ToString::to_string);
        let rule = PeerRule::BadGossip.name();
        tracing::warn!(peer = who, protocol = "gossip", rule, detail = why, "a peer broke a rule");
        metrics::counter!("posthouse_peer_refusals_total", "rule" => rule).increment(1);
        if let Some(domain) = domain {
            let now = self.own.now();
            punish((&self.peers, &self.network), &domain, PeerRule::BadGossip, 1, now).await;
        }
    }

    async fn weigh(&self, author: Option<PeerId>, words: Vec<u8>) -> Worth {
        if words.len() > MAX_GOSSIP {
            return Worth::Bad(format!("a message of {} bytes; {MAX_GOSSIP} are allowed", words.len()));
        }
        let bad = |why: &dyn std::fmt::Display| Worth::Bad(format!("what it brought is no manifest: {why}"));
        let shown = match Signed::<Manifest>::from_bytes(words.into()) {
            Ok(shown) => shown,
            Err(fault) => return bad(&fault),
        };
        let manifest = match shown.peek().map(|claimed| follow(&claimed.domain, None, &shown)) {
            Ok(Ok(manifest)) => manifest,
            Ok(Err(fault)) => return bad(&fault),
            Err(fault) => return bad(&fault),
        };
        let author = author.as_ref().and_then(node_key_of);
        let Some(node) = manifest.nodes.iter().find(|node| Some(node.key) == author) else {
            return Worth::Bad(format!("a manifest of {} that none of its nodes has told", manifest.domain));
        };
        let (domain, now) = (&manifest.domain, self.own.now());
        let timely = node.not_before <= now && now <= node.not_after;
        if *domain == self.own.domain || !timely || !self.own.permits(domain) {
            return Worth::Nothing;
        }
        self.directory.overheard(domain, &shown).await
    }
}

impl Directory {
    /// Pins a manifest that a third relay has brought, if it follows what is pinned.
    async fn overheard(&self, domain: &Domain, shown: &Signed<Manifest>) -> Worth {
        // Nobody is pinned for the first time on hearsay.
        if !matches!(self.host.pinned(domain).await, Ok(Some(_))) {
            return Worth::Nothing;
        }
        match self.adopt_directly(domain, shown).await {
            // What is known already is handed on too, for those behind: each message once, whoever repeats it.
            Ok(_) => Worth::Good(domain.clone()),
            // The relay may have changed its root more than once, or there is another chain of its name.
            Err(NotAdopted::Fault(fault)) if may_be_bridged(&fault) => {
                Worth::Ahead(domain.clone(), Box::new(shown.clone()))
            }
            // It speaks well for itself. That it does not follow what is pinned here is not the fault of who brought it,
            // and may have pinned another manifest: a relay with two faces must not set others against each other.
            Err(_) => Worth::Nothing,
        }
    }

    /// Fetches the links before a manifest that was overheard, unless too many such look-ups run or it failed just now.
    async fn catch_up(&self, domain: &Domain, shown: &Signed<Manifest>) {
        let looked_up = (domain.clone(), Some(manifest_hash(shown)));
        let Some(_turn) = self.stranger_now(&looked_up) else { return };
        if let Err(not) = self.adopt(domain, shown).await {
            let why = not.into_error(domain);
            tracing::debug!(%domain, %why, "a manifest that was gossiped is not followed");
            self.failures.note(&looked_up, self.own.now(), &why);
        }
    }
}

/// How much more each may bring.
struct Counts<K> {
    burst: u64,
    refill_ms: u64,
    left: HashMap<K, (u64, Millis)>,
}

impl<K: Eq + Hash> Counts<K> {
    fn new(burst: u64, refill_ms: u64) -> Self {
        Self { burst, refill_ms, left: HashMap::new() }
    }

    fn take(&mut self, from: K, now: Millis) -> bool {
        let (burst, refill_ms) = (self.burst, self.refill_ms);
        if self.left.len() >= MAX_COUNTED && !self.left.contains_key(&from) {
            // Who has been quiet long enough has a full count again, which needs no memory.
            self.left.retain(|_, (_, at)| now.0.abs_diff(at.0) < burst * refill_ms);
            if self.left.len() >= MAX_COUNTED {
                return false;
            }
        }
        let (left, at) = self.left.entry(from).or_insert((burst, now));
        // A clock that was set back gives nothing, and goes on from there.
        *at = now.min(*at);
        let more = now.0.saturating_sub(at.0) / refill_ms;
        if more > 0 {
            *left = left.saturating_add(more).min(burst);
            *at = now;
        }
        let some = *left > 0;
        *left = left.saturating_sub(1);
        some
    }
}

/// How much more is handed on.
struct Told {
    domains: Counts<Domain>,
    all: Counts<()>,
}

impl Told {
    fn new() -> Self {
        Self {
            domains: Counts::new(BURST_OF_DOMAIN, REFILL_OF_DOMAIN_MS),
            all: Counts::new(BURST_OF_ALL, REFILL_OF_ALL_MS),
        }
    }

    fn take(&mut self, domain: Domain, now: Millis) -> bool {
        self.domains.take(domain, now) && self.all.take((), now)
    }
}

impl SwarmTask {
    pub(super) fn handle_gossip(&mut self, event: Event) {
        let Event::Message { propagation_source, message_id, message } = event else { return };
        let heard =
            Heard { from: propagation_source, id: message_id, author: message.source, words: message.data };
        if let Err(full) = self.heard.try_send(heard) {
            let Heard { from, id, .. } = full.into_inner();
            metrics::counter!("posthouse_gossip_dropped_total").increment(1);
            self.judge(Judgement { from, id, acceptance: MessageAcceptance::Ignore });
        }
    }

    pub(super) fn judge(&mut self, Judgement { from, id, acceptance }: Judgement) {
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.inner.as_mut() {
            // A message that is forgotten meanwhile is not handed on.
            gossip.report_message_validation_result(&id, &from, acceptance);
        }
    }

    pub(super) fn publish(&mut self, words: Vec<u8>) {
        let Some(gossip) = self.swarm.behaviour_mut().gossip.inner.as_mut() else { return };
        match gossip.publish(manifests(), words) {
            Ok(_) | Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => tracing::warn!(%error, "the manifest could not be gossiped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_brings_so_much_and_then_so_much_more_with_time() {
        let (mut counts, peer, other) = (Counts::new(BURST, REFILL_MS), PeerId::random(), PeerId::random());
        let allowed = (0..2 * BURST).filter(|_| counts.take(peer, Millis(1))).count();
        assert_eq!(allowed as u64, BURST);
        assert!(counts.take(other, Millis(1)), "each has its own");
        assert!(!counts.take(peer, Millis(REFILL_MS)));
        assert!(counts.take(peer, Millis(1 + REFILL_MS)));
        assert!(!counts.take(peer, Millis(1 + REFILL_MS)));
        let later = Millis(1 + 2 * BURST * REFILL_MS);
        assert_eq!((0..2 * BURST).filter(|_| counts.take(peer, later)).count() as u64, BURST);
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody() {
        let (mut counts, peer) = (Counts::new(BURST, REFILL_MS), PeerId::random());
        let day = 24 * 60 * 60 * 1_000;
        assert!((0..BURST).all(|_| counts.take(peer, Millis(day))));
        assert!(!counts.take(peer, Millis(1)));
        assert!(counts.take(peer, Millis(1 + REFILL_MS)));
    }

    #[test]
    fn what_is_handed_on_is_never_more_than_a_neighbour_takes() {
        let (mut told, mut counts, handing_on) =
            (Told::new(), Counts::new(BURST, REFILL_MS), PeerId::random());
        let domains: Vec<Domain> =
            (0..500).map(|n| format!("n{n}.example").parse().expect("a domain")).collect();
        // Each of many relays changes as often as it may, for ten minutes.
        let mut handed_on = 0;
        for ms in (0..600_000).step_by(100) {
            for domain in &domains[ms as usize / 100 % 10 * 50..][..50] {
                if told.take(domain.clone(), Millis(ms)) {
                    handed_on += 1;
                    assert!(counts.take(handing_on, Millis(ms)), "message {handed_on} after {ms} ms");
                }
            }
        }
        assert!(handed_on > BURST_OF_ALL, "{handed_on}");
    }

    #[test]
    fn strangers_cannot_make_it_remember_without_end() {
        let mut counts = Counts::new(BURST, REFILL_MS);
        for _ in 0..MAX_COUNTED {
            assert!(counts.take(PeerId::random(), Millis(1)));
        }
        assert!(!counts.take(PeerId::random(), Millis(2)));
        assert!(counts.take(PeerId::random(), Millis(1 + BURST * REFILL_MS)));
        assert_eq!(counts.left.len(), 1);
    }
}
