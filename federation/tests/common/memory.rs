//! A relay's store in memory: it survives the node, as a data folder survives the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use posthouse_crypto::Verified;
use posthouse_federation::{
    Evidence, Host, HostError, Inbox, LaneId, LaneState, OutboundItem, Outbox, Pins, ReceiveError, Received,
    Service,
};
use posthouse_spec::cbor::Text;
use posthouse_spec::client::Refusal;
use posthouse_spec::envelope::{Envelope, LaneClass};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::peer::hello::{LaneCursor, PeerRefusal, PeerRule};
use posthouse_spec::peer::room::RoomRefusal;
use posthouse_spec::peer::{
    KeysRequest, KeysResponse, MailbagRequest, MailbagResponse, RoomRequest, RoomResponse,
};
use posthouse_spec::{Domain, Incarnation, LaneSeq, ManifestSeq, Signed};
use tokio::sync::watch;

#[derive(Clone)]
struct Lane {
    incarnation: Incarnation,
    items: VecDeque<OutboundItem>,
    next: LaneSeq,
    handed: LaneSeq,
}

impl Lane {
    fn state(&self) -> LaneState {
        let oldest = self.items.front().map_or(self.next, |item| item.seq);
        LaneState { incarnation: self.incarnation, oldest, next: self.next, handed: self.handed }
    }
}

/// A copy of what moves when items travel, as a backup has it.
#[derive(Clone)]
pub struct Backup {
    lanes: BTreeMap<LaneId, Lane>,
    cursors: BTreeMap<(Domain, LaneClass, Incarnation), LaneSeq>,
    received: Vec<(Domain, Bytes)>,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<LaneId, Lane>,
    cursors: BTreeMap<(Domain, LaneClass, Incarnation), LaneSeq>,
    pins: BTreeMap<Domain, Signed<Manifest>>,
    links: BTreeMap<(Domain, ManifestSeq), Signed<Manifest>>,
    evidence: BTreeMap<Domain, Vec<Evidence>>,
    neighbours: Vec<Domain>,
    received: Vec<(Domain, Bytes)>,
    refused: Vec<RefusedItem>,
    envelopes: u64,
    lives: u8,
    failing: u32,
    /// Done once, when a hello is answered.
    at_hello: Option<AtResume>,
    /// Done once, when a lane's stream is opened from the other side.
    at_resume: Option<AtResume>,
}

type AtResume = Box<dyn FnOnce(&Memory) + Send>;

/// The store.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Memory {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        result
    }

    /// Puts an item into the outbox.
    pub fn post(&self, lane: &LaneId, bytes: impl Into<Bytes>) {
        self.change(|state| {
            let lane = state.lane(lane);
            lane.items.push_back(OutboundItem { seq: lane.next, bytes: bytes.into() });
            lane.next = lane.next.next();
        });
    }

    /// Does something when the next lane is opened from the other side, before that is answered.
    pub fn at_resume(&self, what: impl FnOnce(&Memory) + Send + 'static) {
        self.change(|state| state.at_resume = Some(Box::new(what)));
    }

    /// Does something when the next hello is answered or said, after the other side's was checked.
    pub fn at_hello(&self, what: impl FnOnce(&Memory) + Send + 'static) {
        self.change(|state| state.at_hello = Some(Box::new(what)));
    }

    /// Pins a manifest, as somebody does who has heard of it first.
    pub fn pin_now(&self, domain: &Domain, manifest: Signed<Manifest>) {
        self.change(|state| state.pins.insert(domain.clone(), manifest));
    }

    /// All items of a lane go another way, as in a mailbag.
    pub fn pass(&self, lane: &LaneId, origin: &Domain, to: &Self) {
        let out = self.change(|state| {
            let lane = state.lane(lane);
            lane.handed = lane.next;
            lane.clone()
        });
        to.change(|state| {
            state.cursors.insert((origin.clone(), lane.class, out.incarnation), out.next);
            state.received.extend(out.items.into_iter().map(|item| (origin.clone(), item.bytes)));
        });
    }

    /// What was received, in order.
    pub fn received(&self) -> Vec<(Domain, Bytes)> {
        self.state.lock().unwrap().received.clone()
    }

    /// What other relays refused of this one's items.
    pub fn refused(&self) -> Vec<RefusedItem> {
        self.state.lock().unwrap().refused.clone()
    }

    /// How many envelopes brought something new.
    pub fn envelopes(&self) -> u64 {
        self.state.lock().unwrap().envelopes
    }

    /// Items that wait in the outbox.
    pub fn waiting(&self) -> usize {
        self.state.lock().unwrap().lanes.values().map(|lane| lane.items.len()).sum()
    }

    /// The next `times` writes of the inbox fail.
    pub fn fail_next(&self, times: u32) {
        self.change(|state| state.failing = times);
    }

    /// Whom this relay shares rooms with.
    pub fn set_neighbours(&self, neighbours: &[&str]) {
        self.change(|state| state.neighbours = neighbours.iter().map(|text| text.parse().unwrap()).collect());
    }

    /// What is pinned for a domain.
    pub fn pin_of(&self, domain: &str) -> Option<Signed<Manifest>> {
        self.state.lock().unwrap().pins.get(&domain.parse().unwrap()).cloned()
    }

    /// A copy.
    pub fn back_up(&self) -> Backup {
        let state = self.state.lock().unwrap();
        let (lanes, cursors) = (state.lanes.clone(), state.cursors.clone());
        Backup { lanes, cursors, received: state.received.clone() }
    }

    /// Puts a copy back, as after the loss of a disk, and starts from it.
    pub fn restore(&self, backup: Backup) {
        self.change(|state| {
            (state.lanes, state.cursors, state.received) = (backup.lanes, backup.cursors, backup.received);
            state.lanes.values_mut().for_each(|lane| lane.handed = lane.next);
        });
    }

    /// In which life a lane is.
    pub fn life(&self, lane: &LaneId) -> Incarnation {
        self.state.lock().unwrap().lane(lane).incarnation
    }

    /// Waits until the store is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        while !wanted(self) {
            changed.changed().await.unwrap();
        }
    }
}

impl State {
    fn lane(&mut self, lane: &LaneId) -> &mut Lane {
        let number = self.lanes.len() as u8;
        self.lanes.entry(lane.clone()).or_insert_with(|| Lane {
            incarnation: Incarnation::new([number; 16]),
            items: VecDeque::new(),
            next: LaneSeq(1),
            handed: LaneSeq(1),
        })
    }
}

#[async_trait]
impl Outbox for Memory {
    async fn lanes(&self) -> Result<Vec<LaneId>, HostError> {
        let state = self.state.lock().unwrap();
        Ok(state.lanes.iter().filter(|(_, lane)| !lane.items.is_empty()).map(|(id, _)| id.clone()).collect())
    }

    async fn neighbours(&self) -> Result<Vec<Domain>, HostError> {
        Ok(self.state.lock().unwrap().neighbours.clone())
    }

    async fn lane(&self, lane: &LaneId) -> Result<LaneState, HostError> {
        let mut state = self.state.lock().unwrap();
        let lane = state.lane(lane);
        Ok(lane.state())
    }

    async fn items(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        from: LaneSeq,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutboundItem>, HostError> {
        let mut state = self.state.lock().unwrap();
        let mut total = 0;
        let mut found = Vec::new();
        if state.lane(lane).incarnation != incarnation {
            return Ok(found);
        }
        for item in state.lane(lane).items.iter().filter(|item| item.seq >= from).take(max_items) {
            total += item.bytes.len();
            if total > max_bytes && !found.is_empty() {
                break;
            }
            found.push(item.clone());
        }
        if let Some(last) = found.last() {
            let lane = state.lane(lane);
            lane.handed = lane.handed.max(last.seq.next());
        }
        Ok(found)
    }

    async fn acknowledged(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        next: LaneSeq,
        refused: Vec<RefusedItem>,
    ) -> Result<(), HostError> {
        self.change(|state| {
            let lane = state.lane(lane);
            if lane.incarnation == incarnation {
                lane.items.retain(|item| item.seq >= next);
            }
            state.refused.extend(refused);
        });
        Ok(())
    }

    async fn lanes_to(&self, peer: &Domain) -> Result<Vec<(LaneClass, LaneState)>, HostError> {
        let state = self.state.lock().unwrap();
        let ours = state.lanes.iter().filter(|(id, _)| id.peer == *peer);
        Ok(ours.map(|(id, lane)| (id.class, lane.state())).collect())
    }

    async fn begin_new_life(&self, lane: &LaneId, incarnation: Incarnation) -> Result<(), HostError> {
        self.change(|state| {
            state.lives += 1;
            let fresh = Incarnation::new([state.lives, 99].repeat(8).try_into().unwrap());
            let lane = state.lane(lane);
            if lane.incarnation != incarnation {
                return;
            }
            for (item, seq) in lane.items.iter_mut().zip(1..) {
                item.seq = LaneSeq(seq);
            }
            let next = LaneSeq(lane.items.len() as u64 + 1);
            (lane.incarnation, lane.next, lane.handed) = (fresh, next, LaneSeq(1));
        });
        Ok(())
    }
}

#[async_trait]
impl Inbox for Memory {
    async fn cursor(
        &self,
        origin: &Domain,
        class: LaneClass,
        incarnation: Incarnation,
        _oldest: LaneSeq,
    ) -> Result<LaneSeq, HostError> {
        let first = self.state.lock().unwrap().at_resume.take();
        if let Some(first) = first {
            first(self);
        }
        let state = self.state.lock().unwrap();
        Ok(state.cursors.get(&(origin.clone(), class, incarnation)).copied().unwrap_or(LaneSeq(1)))
    }

    async fn cursors(&self, origin: &Domain) -> Result<Vec<LaneCursor>, HostError> {
        let first = self.state.lock().unwrap().at_hello.take();
        if let Some(first) = first {
            first(self);
        }
        let state = self.state.lock().unwrap();
        let ours = state.cursors.iter().filter(|((domain, ..), _)| domain == origin);
        Ok(ours
            .map(|((_, class, incarnation), next)| LaneCursor {
                class: *class,
                incarnation: *incarnation,
                next: *next,
            })
            .collect())
    }

    async fn receive(&self, origin: &Domain, envelope: Verified<Envelope>) -> Result<Received, ReceiveError> {
        self.change(|state| {
            if state.failing > 0 {
                state.failing -= 1;
                return Err(HostError::new("the disk is full").into());
            }
            let lane = (origin.clone(), envelope.class, envelope.incarnation);
            let cursor = state.cursors.entry(lane).or_insert(LaneSeq(1));
            if envelope.first > *cursor {
                return Err(ReceiveError::Gap { expected: *cursor });
            }
            state.envelopes += 1;
            let mut refused = Vec::new();
            for (seq, item) in (envelope.first.0..).map(LaneSeq).zip(envelope.items.iter()) {
                if seq < *cursor {
                    continue;
                }
                *cursor = seq.next();
                if &item[..] == b"refuse me" {
                    let detail = Text::clipped("as it asked");
                    refused.push(RefusedItem { seq, reason: ItemRefusal::Invalid, detail });
                } else {
                    state.received.push((origin.clone(), item.bytes().clone()));
                }
            }
            Ok(Received { next: *cursor, refused })
        })
    }
}

#[async_trait]
impl Service for Memory {
    async fn keys(&self, from: &Domain, request: KeysRequest) -> KeysResponse {
        let detail = Text::clipped(&format!("{from} asked {request:?}"));
        KeysResponse::Refused(RoomRefusal { reason: Refusal::NotFound, detail, decided: None })
    }

    async fn room(&self, from: &Domain, request: RoomRequest) -> RoomResponse {
        let detail = Text::clipped(&format!("{from} asked {request:?}"));
        RoomResponse::Refused(RoomRefusal { reason: Refusal::UnknownRoom, detail, decided: None })
    }

    async fn mailbag(&self, from: &Domain, request: MailbagRequest) -> MailbagResponse {
        if let MailbagRequest::Leave(bag) = request
            && bag.origin != *from
        {
            let detail = Text::clipped(&format!("{from} leaves a mailbag of {}", bag.origin));
            return MailbagResponse::Rejected(PeerRefusal { rule: PeerRule::ForgedOrigin, detail });
        }
        let detail = Text::clipped(&format!("no mailbags are held for {from}"));
        MailbagResponse::Rejected(PeerRefusal { rule: PeerRule::NotAHolder, detail })
    }
}

#[async_trait]
impl Pins for Memory {
    async fn pinned(&self, domain: &Domain) -> Result<Option<Signed<Manifest>>, HostError> {
        Ok(self.state.lock().unwrap().pins.get(domain).cloned())
    }

    async fn pin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), HostError> {
        self.change(|state| {
            state.links.insert((domain.clone(), manifest.peek().unwrap().seq), manifest.clone());
            state.pins.insert(domain.clone(), manifest.clone())
        });
        Ok(())
    }

    async fn pinned_from(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Signed<Manifest>>, HostError> {
        let state = self.state.lock().unwrap();
        let mut behind = state.links.range((domain.clone(), seq)..);
        Ok(behind.next().filter(|((of, _), _)| of == domain).map(|(_, manifest)| manifest.clone()))
    }

    async fn keep_link(&self, domain: &Domain, link: &Signed<Manifest>) -> Result<(), HostError> {
        self.change(|state| state.links.insert((domain.clone(), link.peek().unwrap().seq), link.clone()));
        Ok(())
    }

    async fn keep_evidence(&self, domain: &Domain, evidence: &Evidence) -> Result<bool, HostError> {
        Ok(self.change(|state| {
            let all = state.evidence.entry(domain.clone()).or_default();
            let new = all.iter().all(|known| known.other != evidence.other || known.settled);
            all.extend(new.then(|| evidence.clone()));
            new
        }))
    }

    async fn evidence(&self, domain: &Domain) -> Result<Vec<Evidence>, HostError> {
        Ok(self.state.lock().unwrap().evidence.get(domain).cloned().unwrap_or_default())
    }

    async fn repin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), HostError> {
        self.change(|state| {
            state.links.retain(|(of, _), _| of != domain);
            state.links.insert((domain.clone(), manifest.peek().unwrap().seq), manifest.clone());
            state.pins.insert(domain.clone(), manifest.clone());
            let all = state.evidence.entry(domain.clone()).or_default();
            all.iter_mut().for_each(|evidence| evidence.settled = true);
        });
        Ok(())
    }
}

impl Host for Memory {}
