//! The lanes to other relays: drives the schedule. It starts streams, dials, and tells the schedule what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use posthouse_spec::peer::hello::LaneCursor;
use posthouse_spec::{Domain, LaneSeq};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::board::{Board, State, Turn};
use super::contacts::Contacts;
use super::tasks::Tasks;
use super::worker::LaneWorker;
use crate::error::PeerError;
use crate::host::{LaneId, Outbox};
use crate::link::compare;
use crate::schedule::{Dialled, Ended, Load, MAX_PEERS, Step, Wake};

/// How often the outbox is asked which lanes have anything: what a lost wake-up can delay at most.
const RESCAN: Duration = Duration::from_secs(30);
/// How often it is counted what waits on lanes that cannot send.
const COUNTING: Duration = Duration::from_secs(1);
/// Hellos whose cursors wait to be compared; more are not, and a lane whose ends stand apart is found when it is used.
const MAX_COMPARING: usize = 1024;
/// Cursors in a hello; one with fewer names all that the relay has.
const MAX_CURSORS: usize = 16;

/// The lanes.
pub(crate) struct Lanes {
    board: Arc<Board>,
    /// Wakes the scan for lanes that found no room.
    scan: Notify,
    worker: LaneWorker,
    tasks: Tasks,
}

impl Lanes {
    /// Lanes on which nothing happens yet; `worker` carries them.
    pub(crate) fn new(worker: LaneWorker, tasks: Tasks) -> Self {
        Self { board: Arc::clone(&worker.board), scan: Notify::new(), worker, tasks }
    }

    /// Something new waits on a lane.
    pub(crate) fn wake(self: &Arc<Self>, lane: &LaneId) {
        self.tell(|state| match state.schedule.handle_wake(lane) {
            Wake::Nudge => {
                if let Some(turn) = state.streams.get(lane) {
                    turn.nudge.notify_one();
                }
            }
            Wake::Noted => {
                if !state.streams.contains_key(lane) {
                    state.uncounted.insert(lane.clone());
                }
            }
            Wake::Crowded => state.crowded = true,
        });
    }

    /// Relays that are to be called once.
    pub(crate) fn greet(self: &Arc<Self>, relays: impl IntoIterator<Item = Domain>) {
        self.tell(|state| relays.into_iter().for_each(|domain| state.schedule.handle_want(&domain)));
    }

    /// How much there is to do.
    pub(crate) fn load(&self) -> Load {
        self.board.lock().schedule.load()
    }

    /// Tells the schedule something, and does what it says then.
    fn tell<T>(self: &Arc<Self>, tell: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.board.lock();
        let told = tell(&mut state);
        self.turn(&mut state);
        told
    }

    fn turn(self: &Arc<Self>, state: &mut State) {
        if self.tasks.cancel.is_cancelled() {
            return;
        }
        while let Some(step) = state.schedule.poll(self.board.now()) {
            match step {
                Step::Start(lane) => self.start(state, lane),
                Step::Yield(lane) => {
                    if let Some(turn) = state.streams.get(&lane) {
                        turn.end();
                    }
                }
                Step::Connect(domain) => self.connect(domain),
            }
        }
        if state.crowded && state.schedule.load().peers < MAX_PEERS {
            state.crowded = false;
            self.scan.notify_one();
        }
        let timeout = state.schedule.poll_timeout();
        if timeout != state.timeout {
            state.timeout = timeout;
            self.board.poked.notify_one();
        }
    }

    fn start(self: &Arc<Self>, state: &mut State, lane: LaneId) {
        state.uncounted.remove(&lane);
        if let Some(turn) = state.streams.get(&lane) {
            turn.nudge.notify_one();
            return;
        }
        let turn = Arc::new(Turn::default());
        state.streams.insert(lane.clone(), Arc::clone(&turn));
        let this = Arc::clone(self);
        drop(self.tasks.spawn(async move {
            let ended = this.worker.run(&lane, &turn).await;
            this.ended(&lane, ended);
        }));
    }

    fn ended(self: &Arc<Self>, lane: &LaneId, ended: Ended) {
        self.tell(|state| {
            state.streams.remove(lane);
            state.schedule.handle_ended(lane, ended, self.board.now(), rand::random());
            // Another session may have begun since the stream found none, and the schedule have heard of it before this.
            let is_lost = matches!(ended, Ended::NoSession { .. });
            if is_lost && self.worker.connector.peers.peer(&lane.peer).session().is_some() {
                state.schedule.handle_session(&lane.peer, true);
            }
            if state.suspects.contains(lane) {
                state.schedule.handle_wake(lane);
            }
        });
    }

    fn connect(self: &Arc<Self>, domain: Domain) {
        let this = Arc::clone(self);
        drop(self.tasks.spawn(async move {
            let connector = &this.worker.connector;
            let Some(reached) = this.tasks.cancel.run_until_cancelled(connector.session(&domain)).await
            else {
                return;
            };
            let dialled = match reached {
                Ok(_) => Dialled::Reached,
                Err(error @ PeerError::Crowded { .. }) => {
                    tracing::info!(peer = %domain, %error, "a call is put off");
                    Dialled::Crowded
                }
                Err(error) => {
                    tracing::info!(peer = %domain, %error, "what is for this relay waits");
                    // Not every failure is one of the peer's: a denied relay is never dialled.
                    let now = this.worker.own.now();
                    let wait = connector.peers.peer(&domain).not_before().0.saturating_sub(now.0);
                    let wait = wait.max(connector.peers.conducts.wait(&domain, now));
                    if wait > 0 { Dialled::FailedUntil(this.board.after(wait)) } else { Dialled::Failed }
                }
            };
            let now = this.board.now();
            this.tell(|state| state.schedule.handle_dialled(&domain, dialled, now, rand::random()));
        }));
    }

    /// Lets the schedule's time pass, and tells it who was heard of.
    pub(crate) async fn keep_time(self: Arc<Self>, contacts: Arc<Contacts>) {
        let (comparing, to_compare) = mpsc::channel(MAX_COMPARING);
        self.tasks.spawn_cancellable(Arc::clone(&self).keep_comparing(to_compare));
        loop {
            let timeout = self.board.lock().timeout;
            let wait = timeout.map(|at| Duration::from_millis(at.0.saturating_sub(self.board.now().0)));
            tokio::select! {
                heard = contacts.next() => {
                    self.tell(|state| heard.keys().for_each(|domain| state.schedule.handle_session(domain, true)));
                    for hello in heard {
                        // Too many: see the bound.
                        let _ = comparing.try_send(hello);
                    }
                }
                () = self.board.poked.notified() => self.tell(|_| ()),
                () = tokio::time::sleep(wait.unwrap_or(RESCAN)) => self.tell(|state| state.timeout = None),
            }
            gauge(self.board.lock().schedule.load());
        }
    }

    /// Compares where other relays say that they stand in the lanes from here with where this one stands, so that a
    /// restore from a copy is found at the first contact, even if nothing waits. What was told is older than what is
    /// read here, so a difference is only suspected: the lane's stream brings certainty.
    async fn keep_comparing(self: Arc<Self>, mut hellos: mpsc::Receiver<(Domain, Vec<LaneCursor>)>) {
        while let Some((peer, cursors)) = hellos.recv().await {
            let lanes = match self.worker.outbox.lanes_to(&peer).await {
                Ok(lanes) => lanes,
                Err(error) => {
                    tracing::error!(%peer, %error, "the outbox cannot say where lanes stand");
                    continue;
                }
            };
            for (class, state) in lanes {
                let told = cursors.iter().find(|c| c.class == class && c.incarnation == state.incarnation);
                let theirs = match told {
                    Some(cursor) => cursor.next,
                    None if cursors.len() < MAX_CURSORS => LaneSeq(1),
                    None => continue,
                };
                if compare(&state, theirs).is_err() {
                    let lane = LaneId { peer: peer.clone(), class };
                    tracing::debug!(%lane, %theirs, "the two ends of a lane seem to stand apart; it is looked at");
                    self.board.lock().suspects.insert(lane.clone());
                    self.wake(&lane);
                }
            }
        }
    }

    /// Wakes each lane on which anything waits, now and again and again.
    pub(crate) async fn keep_scanning(self: Arc<Self>, outbox: Arc<dyn Outbox>) {
        let mut next = Instant::now();
        loop {
            if next <= Instant::now() {
                next = Instant::now() + RESCAN;
                match outbox.lanes().await {
                    Ok(lanes) => lanes.iter().for_each(|lane| self.wake(lane)),
                    Err(error) => {
                        tracing::error!(%error, "the outbox cannot say which lanes wait; it is asked again");
                    }
                }
            }
            self.count(&*outbox).await;
            tokio::select! {
                () = self.scan.notified() => next = Instant::now(),
                () = tokio::time::sleep(COUNTING) => {}
            }
        }
    }

    /// Counts what waits on lanes that were woken and have no stream.
    async fn count(&self, outbox: &dyn Outbox) {
        let uncounted = std::mem::take(&mut self.board.lock().uncounted);
        let mut peers = HashMap::new();
        for lane in uncounted {
            if let Ok(state) = outbox.lane(&lane).await {
                let peer = peers
                    .entry(lane.peer.clone())
                    .or_insert_with(|| self.worker.connector.peers.peer(&lane.peer));
                peer.set_backlog(&lane.peer, lane.class, state.backlog());
            }
        }
    }
}

fn gauge(load: Load) {
    let counts = [
        ("posthouse_lane_streams_active", load.active),
        ("posthouse_lane_streams_idle", load.idle),
        ("posthouse_lanes_ready", load.ready),
        ("posthouse_peers_dialling", load.dialling),
    ];
    for (name, count) in counts {
        metrics::gauge!(name).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}
