//! The origin's side of `/posthouse/deliver/1`: carries one lane over one stream, for as long as it has a turn.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use futures::io::{ReadHalf, WriteHalf};
use libp2p::Stream;
use posthouse_spec::cbor::Octets;
use posthouse_spec::limits::MAX_ENVELOPE_ITEMS;
use posthouse_spec::peer::{DeliverFrame, ReceiptFrame};
use posthouse_spec::{Incarnation, LaneSeq, Millis};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Turn};
use super::connector::Connector;
use super::own::Own;
use super::peers::{Peer, Session, Watch, until};
use super::status::RestoredLane;
use super::verdicts::punish;
use super::wire::{WRITE_TIMEOUT, report};
use crate::behaviour::Protocol;
use crate::codec::{FrameError, FrameReader, FrameWriter};
use crate::host::{HostError, LaneId, LaneState, Outbox};
use crate::link::{Lane, LinkFault, Progress, Restored, Sender, Violation, compare};
use crate::schedule::Ended;

/// The largest receipt, bytes: a full list of refusals with their explanations.
const MAX_RECEIPT: usize = MAX_ENVELOPE_ITEMS * (posthouse_spec::limits::MAX_DETAIL + 32) + 1024;
/// A lane without work keeps its stream for so long.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How long a stream that is to end waits for the acknowledgement of what is on its way.
const DRAIN: Duration = Duration::from_secs(1);

/// What every stream needs.
#[derive(Clone)]
pub(crate) struct LaneWorker {
    pub(crate) own: Arc<Own>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) connector: Connector,
    pub(crate) board: Arc<Board>,
    pub(crate) cancel: CancellationToken,
}

/// Why one stream of a lane ended.
enum End {
    /// Nothing more to do, or the node ends.
    Idle,
    /// The turn is over, and more waits.
    Left,
    /// The relay has a newer session, or none.
    SessionChanged,
    /// The lane has begun another life.
    NewLife,
    /// The lane must begin another life.
    Restored(Restored, LinkFault),
    /// The destination asked for a pause, milliseconds.
    Later(u64),
    /// The destination broke a rule.
    Broken(Violation),
    /// Something went wrong.
    Failed(String),
}

impl From<HostError> for End {
    fn from(error: HostError) -> Self {
        Self::Failed(format!("this relay's own store failed: {error}"))
    }
}

impl From<LinkFault> for End {
    fn from(fault: LinkFault) -> Self {
        match (fault.restored(), fault) {
            (Some(whose), fault) => Self::Restored(whose, fault),
            (None, LinkFault::Violation(violation)) => Self::Broken(violation),
            (None, fault) => Self::Failed(fault.to_string()),
        }
    }
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        match error.rule() {
            Some(rule) => Self::Broken(Violation::new(rule, error)),
            None => Self::Failed(error.to_string()),
        }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!("the stream broke: {error}"))
    }
}

impl LaneWorker {
    /// Carries a lane until nothing is left to do for a while, its turn is over, or something is in the way.
    pub(crate) async fn run(&self, lane: &LaneId, turn: &Turn) -> Ended {
        let peer = self.connector.peers.peer(&lane.peer);
        self.board.look(lane);
        let state = match self.outbox.lane(lane).await {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(%lane, %error, "the outbox failed; the lane waits");
                return Ended::Failed { progress: false };
            }
        };
        peer.set_backlog(&lane.peer, lane.class, state.backlog());
        let suspected = self.board.take_suspicion(lane);
        if state.backlog() == 0 && !suspected {
            return Ended::Done;
        }
        let watch = peer.watch();
        let Some(session) = peer.session() else { return Ended::NoSession { progress: false } };
        let mut work = Work { worker: self, lane, turn, peer, watch, progress: false };
        let end = work.carry(&session, state).await;
        work.ended(end, state.incarnation).await
    }
}

/// One lane at work.
struct Work<'a> {
    worker: &'a LaneWorker,
    lane: &'a LaneId,
    turn: &'a Turn,
    peer: Arc<Peer>,
    watch: Watch,
    /// Whether anything was acknowledged.
    progress: bool,
}

impl Work<'_> {
    async fn ended(&self, end: End, incarnation: Incarnation) -> Ended {
        match end {
            End::Idle => Ended::Done,
            End::Left => Ended::Yielded,
            End::SessionChanged if self.peer.session().is_some() => Ended::Yielded,
            End::SessionChanged => Ended::NoSession { progress: self.progress },
            End::NewLife => Ended::NewLife,
            End::Restored(whose, fault) => self.begin_new_life(whose, &fault, incarnation).await,
            End::Later(ms) => Ended::Later(ms),
            End::Broken(violation) => {
                let Connector { peers, network, own, .. } = &self.worker.connector;
                report(peers, &self.lane.peer, Protocol::Deliver, &violation);
                punish((peers, network), &self.lane.peer, violation.rule, 1, own.now()).await;
                Ended::Failed { progress: self.progress }
            }
            End::Failed(why) => {
                tracing::warn!(lane = %self.lane, why, "the lane is interrupted");
                Ended::Failed { progress: self.progress }
            }
        }
    }

    /// One of the two relays was restored from a copy: the lane goes on in another life, and both operators can know.
    async fn begin_new_life(&self, whose: Restored, fault: &LinkFault, incarnation: Incarnation) -> Ended {
        let (peer, class) = (&self.lane.peer, self.lane.class);
        // What was sent by another way while the stream was opened, in a mailbag, was not counted when it began.
        if let LinkFault::RolledBack { theirs, .. } = fault
            && let Ok(state) = self.worker.outbox.lane(self.lane).await
            && (state.incarnation != incarnation || compare(&state, *theirs).is_ok())
        {
            return Ended::Yielded;
        }
        match whose {
            Restored::Here => tracing::warn!(%peer, %class, %fault,
                "this relay was restored from a copy: the lane begins anew, and what waits is sent even where the other relay \
                 has it already; its devices drop what they know"),
            Restored::There => tracing::warn!(%peer, %class, %fault,
                "the other relay was restored from a copy, or has forgotten the lane: the lane begins anew with what waits. \
                 What that relay had acknowledged and lost is gone, and who had sent it is not known here any more"),
        }
        metrics::counter!("posthouse_lane_restores_total", "restored" => whose.name()).increment(1);
        let found = self.worker.own.now();
        self.peer.note_restored(RestoredLane { class, whose, found });
        match self.worker.outbox.begin_new_life(self.lane, incarnation).await {
            Ok(()) => Ended::NewLife,
            Err(error) => {
                tracing::error!(lane = %self.lane, %error, "the lane could not begin anew; it waits");
                Ended::Failed { progress: self.progress }
            }
        }
    }

    async fn carry(&mut self, session: &Session, state: LaneState) -> End {
        let network = &self.worker.connector.network;
        let opening = network.open(session.peer, session.connection, Protocol::Deliver);
        let stream = tokio::select! {
            () = self.worker.cancel.cancelled() => return End::Idle,
            _ = until(&mut self.watch, |current| is_other(current.as_ref(), session)) => {
                return End::SessionChanged;
            }
            opened = opening => match opened {
                Ok(stream) => stream,
                Err(why) => return End::Failed(format!("no stream could be opened: {why}")),
            },
        };
        let (reading, writing) = stream.split();
        let lane = Lane {
            origin: self.worker.own.domain.clone(),
            destination: self.lane.peer.clone(),
            class: self.lane.class,
            incarnation: state.incarnation,
        };
        let run = Run {
            sender: Sender::new(lane, state, self.worker.board.now()),
            writer: FrameWriter::new(writing).with_patience(WRITE_TIMEOUT),
            incarnation: state.incarnation,
            told: state.oldest,
            idle: false,
            leave_by: None,
            work: self,
        };
        match run.drive(reading, session).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }
}

fn is_other(current: Option<&Arc<Session>>, than: &Session) -> bool {
    current.is_none_or(|current| current.connection != than.connection)
}

/// One stream in use.
struct Run<'a, 'w> {
    work: &'a mut Work<'w>,
    sender: Sender,
    writer: FrameWriter<WriteHalf<Stream>>,
    incarnation: Incarnation,
    /// What the outbox was told last.
    told: LaneSeq,
    /// Whether the lane has caught up and given its place back.
    idle: bool,
    /// Until when the stream ends, once its turn is over.
    leave_by: Option<Instant>,
}

impl Run<'_, '_> {
    async fn drive(mut self, reading: ReadHalf<Stream>, session: &Session) -> Result<Infallible, End> {
        let own = Arc::clone(&self.work.worker.own);
        let mut reader = FrameReader::new(reading, MAX_RECEIPT);
        let open = DeliverFrame::Open(self.sender.open());
        self.writer.send(&open).await?;
        loop {
            self.go_on(&own).await?;
            let wait = self.wait();
            tokio::select! {
                () = self.work.worker.cancel.cancelled() => {
                    self.close().await;
                    return Err(End::Idle);
                }
                _ = until(&mut self.work.watch, |current| is_other(current.as_ref(), session)) => {
                    return Err(End::SessionChanged);
                }
                frame = reader.value::<ReceiptFrame>() => self.handle(frame?).await?,
                () = self.work.turn.nudge.notified() => self.nudged(),
                () = tokio::time::sleep(wait) => {
                    if self.idle {
                        self.close().await;
                        return Err(End::Idle);
                    }
                    if self.sender.handle_timeout(self.now()) {
                        return Err(End::Failed("the destination has gone silent".into()));
                    }
                }
            }
        }
    }

    /// Sends what can be sent, or comes to the end of the turn.
    async fn go_on(&mut self, own: &Own) -> Result<(), End> {
        if let Some(leave_by) = self.leave_by {
            if self.sender.in_flight() > 0 && Instant::now() < leave_by {
                return Ok(());
            }
            self.close().await;
            return Err(if self.sender.is_idle() { End::Idle } else { End::Left });
        }
        if !self.idle {
            self.send_what_fits(own).await?;
            // Whoever was woken meanwhile has been nudged too, and looks again because of that.
            self.idle = self.sender.is_idle() && self.work.worker.board.caught_up(self.work.lane);
        }
        Ok(())
    }

    fn nudged(&mut self) {
        if self.work.turn.is_over() {
            self.leave_by.get_or_insert_with(|| Instant::now() + DRAIN);
        } else if self.work.worker.board.look(self.work.lane) {
            self.idle = false;
            self.sender.handle_wake(self.now());
        }
    }

    /// The board's time: a wall clock that is set back would make the destination's silence last.
    fn now(&self) -> Millis {
        self.work.worker.board.now()
    }

    fn wait(&self) -> Duration {
        let now = self.now();
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let silence = self.sender.poll_timeout().map(|at| Duration::from_millis(at.0.saturating_sub(now.0)));
        self.leave_by.map(left).into_iter().chain(silence).min().unwrap_or(IDLE)
    }

    async fn send_what_fits(&mut self, own: &Own) -> Result<(), End> {
        let outbox = &self.work.worker.outbox;
        let lane = self.work.lane;
        let mut woken = true;
        while let Some(fetch) = self.sender.poll_fetch() {
            let items =
                outbox.items(lane, self.incarnation, fetch.from, fetch.max_items, fetch.max_bytes).await?;
            // Woken for nothing: the items may belong to another life of the lane, which wants another stream.
            if woken && items.is_empty() && outbox.lane(lane).await?.incarnation != self.incarnation {
                self.close().await;
                return Err(End::NewLife);
            }
            woken = false;
            let Some(envelope) = self.sender.handle_items(items, &own.key, own.now(), self.now())? else {
                break;
            };
            let bytes = envelope.as_bytes().clone();
            metrics::counter!("posthouse_envelopes_sent_total", "class" => lane.class.name()).increment(1);
            metrics::counter!("posthouse_envelope_bytes_sent_total").increment(bytes.len() as u64);
            let octets = Octets::new(bytes)
                .map_err(|e| End::Failed(format!("an envelope came out too large: {e}")))?;
            let frame = DeliverFrame::Envelope(octets);
            self.writer.feed(&frame).await?;
        }
        Ok(self.writer.flush().await?)
    }

    async fn handle(&mut self, frame: ReceiptFrame) -> Result<(), End> {
        match self.sender.handle_receipt(frame, self.now())? {
            Progress::Later { retry_after_ms } => Err(End::Later(retry_after_ms)),
            Progress::Refused(refusal) => {
                metrics::counter!("posthouse_peer_refused_us_total", "rule" => refusal.rule.name())
                    .increment(1);
                Err(End::Failed(format!("it refuses ({}): {}", refusal.rule, refusal.detail)))
            }
            Progress::Acknowledged { next, refused } => {
                if next > self.told || !refused.is_empty() {
                    let outbox = &self.work.worker.outbox;
                    outbox.acknowledged(self.work.lane, self.incarnation, next, refused).await?;
                    self.told = next;
                    self.work.progress = true;
                }
                let lane = self.work.lane;
                let waiting = self.waiting().await?;
                self.work.peer.set_backlog(&lane.peer, lane.class, waiting);
                Ok(())
            }
        }
    }

    /// Items that are not acknowledged, sent or not.
    async fn waiting(&self) -> Result<u64, End> {
        if !self.sender.has_more() {
            return Ok(self.sender.in_flight());
        }
        let state = self.work.worker.outbox.lane(self.work.lane).await?;
        Ok(state.backlog())
    }

    async fn close(&mut self) {
        // The destination knows its cursor; a farewell that is lost changes nothing.
        let _ = tokio::time::timeout(WRITE_TIMEOUT, self.writer.close()).await;
    }
}
