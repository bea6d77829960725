//! One relay: its current session, and what is remembered of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use posthouse_crypto::Verified;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::budget::{Asked, Budget, PeerLimits};
use crate::error::PeerError;
use crate::node::status::{Meeting, PeerStatus, RestoredLane, Way};
use crate::retry::Backoff;

/// Requests to one relay that wait for its answer, besides lanes and hellos: it admits twice as many streams.
const MAX_REQUESTS: usize = 16;
/// Frames of one relay above [`SMALL_FRAME`](crate::codec::SMALL_FRAME) that are being read or worked on at once: one on each
/// lane, and some questions. The rest waits in the windows of its streams.
const MAX_LARGE_FRAMES: usize = 6;
/// Answers of one relay above that size that are being read at once.
const MAX_LARGE_ANSWERS: usize = 3;

/// A connection on which both sides have said hello.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) domain: Domain,
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) manifest: Verified<Manifest>,
    /// The highest version that both sides speak.
    pub(crate) version: u16,
    /// Later sessions have higher numbers.
    pub(super) number: u64,
}

pub(super) type Current = watch::Sender<Option<Arc<Session>>>;

/// Follows a relay's current session.
pub(crate) type Watch = watch::Receiver<Option<Arc<Session>>>;

/// Waits until the current session is as `wanted`, and returns it; nothing either when there is no more to watch.
pub(crate) async fn until(
    watch: &mut Watch,
    wanted: impl FnMut(&Option<Arc<Session>>) -> bool,
) -> Option<Arc<Session>> {
    watch.wait_for(wanted).await.ok().and_then(|session| session.clone())
}

/// What is remembered of one relay.
pub(crate) struct Peer {
    pub(super) current: Current,
    /// Held while this relay is dialled, so that there is one dial at a time.
    pub(crate) dialling: tokio::sync::Mutex<()>,
    /// Places for requests that wait for this relay's answer.
    pub(crate) requests: Semaphore,
    /// Places for its large frames, on all its streams.
    pub(crate) large_frames: Arc<Semaphore>,
    /// Places for its large answers. They are others than those: whatever is worked on may have to ask before it is done.
    pub(crate) large_answers: Arc<Semaphore>,
    /// What it may bring and ask yet.
    budget: Mutex<Budget>,
    state: Mutex<PeerState>,
}

#[derive(Default)]
struct PeerState {
    backoff: Backoff,
    meeting: Option<Meeting>,
    restored: Option<RestoredLane>,
    failed_at: Option<Millis>,
    last_error: Option<PeerError>,
    backlog: BTreeMap<LaneClass, u64>,
    /// The stream that works each of the peer's lanes at present.
    lanes: BTreeMap<LaneClass, CancellationToken>,
}

/// A lock whose holder panicked still guards sound data: every change under these locks is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    /// One of which nothing is known yet.
    pub(super) fn new(limits: PeerLimits) -> Self {
        Self {
            current: Current::default(),
            dialling: tokio::sync::Mutex::default(),
            requests: Semaphore::new(MAX_REQUESTS),
            large_frames: Arc::new(Semaphore::new(MAX_LARGE_FRAMES)),
            large_answers: Arc::new(Semaphore::new(MAX_LARGE_ANSWERS)),
            budget: Mutex::new(Budget::new(limits)),
            state: Mutex::default(),
        }
    }

    /// It has brought an envelope: in how many milliseconds the next one may be read.
    pub(crate) fn handle_envelope(&self, class: LaneClass, items: u64, bytes: u64, now: Millis) -> u64 {
        lock(&self.budget).handle_envelope(class, items, bytes, now)
    }

    /// It asks something: in how many milliseconds it may be answered, or asked again.
    pub(crate) fn handle_question(&self, asked: Asked, now: Millis) -> Result<u64, u64> {
        lock(&self.budget).handle_question(asked, now)
    }

    /// Whether anything waits for it.
    pub(crate) fn has_backlog(&self) -> bool {
        lock(&self.state).backlog.values().any(|items| *items > 0)
    }

    /// The current session, and its changes.
    pub(crate) fn watch(&self) -> Watch {
        self.current.subscribe()
    }

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.current.borrow().clone()
    }

    /// Takes note that the relay could not be reached. A failure ahead of time, of somebody who would not wait, makes
    /// the lanes' wait no longer.
    pub(crate) fn failed(&self, error: PeerError, now: Millis, random: u64) {
        let mut state = lock(&self.state);
        state.last_error = Some(error);
        state.failed_at = Some(now);
        if !state.backoff.is_waiting(now) {
            state.backoff.handle_failure(now, random);
        }
    }

    /// The failure of at most `within` milliseconds ago, if there was one.
    pub(crate) fn recent_failure(&self, now: Millis, within: u64) -> Option<PeerError> {
        let state = lock(&self.state);
        // A clock that was set back forgets.
        let recent = state.failed_at.is_some_and(|at| at <= now && now.0 - at.0 < within);
        state.last_error.clone().filter(|_| recent)
    }

    /// The earliest time at which a lane dials again.
    pub(crate) fn not_before(&self) -> Millis {
        lock(&self.state).backoff.not_before()
    }

    pub(super) fn contact(&self) {
        let mut state = lock(&self.state);
        state.backoff.handle_contact();
        state.last_error = None;
        state.failed_at = None;
    }

    /// Forgets what went wrong: the operator wants it to be tried again at once.
    pub(crate) fn forgive(&self) {
        self.contact();
    }

    /// Takes note of how much waits on a lane.
    pub(crate) fn set_backlog(&self, domain: &Domain, class: LaneClass, items: u64) {
        lock(&self.state).backlog.insert(class, items);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of 2^52 items is precise enough")]
        metrics::gauge!("posthouse_lane_backlog", "peer" => domain.to_string(), "class" => class.name())
            .set(items as f64);
    }

    /// A new stream of the peer's lane takes over from the one before, which is told to end.
    pub(crate) fn take_over_lane(&self, class: LaneClass, parent: &CancellationToken) -> CancellationToken {
        let token = parent.child_token();
        if let Some(before) = lock(&self.state).lanes.insert(class, token.clone()) {
            before.cancel();
        }
        token
    }

    /// Takes note of a hello.
    pub(crate) fn met(&self, meeting: Meeting) {
        lock(&self.state).meeting = Some(meeting);
    }

    /// Its last hello.
    pub(crate) fn meeting(&self) -> Option<Meeting> {
        lock(&self.state).meeting
    }

    /// A lane to it begins another life.
    pub(crate) fn note_restored(&self, lane: RestoredLane) {
        lock(&self.state).restored = Some(lane);
    }

    pub(super) fn status(&self, domain: &Domain, way: Option<Way>) -> PeerStatus {
        let state = lock(&self.state);
        let connected = self.current.borrow().is_some();
        PeerStatus {
            domain: domain.clone(),
            connected,
            way: way.filter(|_| connected),
            meeting: state.meeting,
            backlog: state.backlog.iter().map(|(class, items)| (*class, *items)).collect(),
            last_error: state.last_error.as_ref().filter(|_| !connected).map(ToString::to_string),
            retry_at: Some(state.backoff.not_before()).filter(|at| !connected && *at > Millis(0)),
            restored: state.restored,
            conduct: None,
        }
    }
}
