//! The origin's side of `/posthouse/deliver/1`: works one lane, over as many streams and sessions as it takes.

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
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connector::Connector;
use super::own::Own;
use super::peers::{Peer, Session, Watch, until};
use super::wire::WRITE_TIMEOUT;
use crate::behaviour::Protocol;
use crate::codec::{FrameError, FrameReader, FrameWriter};
use crate::host::{HostError, LaneId, LaneState, Outbox};
use crate::link::{Lane, LinkFault, Progress, Sender};
use crate::retry::{Backoff, MAX_DELAY_MS};

/// The largest receipt, bytes: a full list of refusals with their explanations.
const MAX_RECEIPT: usize = MAX_ENVELOPE_ITEMS * (posthouse_spec::limits::MAX_DETAIL + 32) + 1024;
/// A lane without work keeps its stream for so long.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// What every worker needs.
#[derive(Clone)]
pub(crate) struct LaneWorker {
    pub(crate) own: Arc<Own>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) connector: Connector,
    pub(crate) cancel: CancellationToken,
}

/// Why one stream of a lane ended.
enum End {
    /// Nothing more to do.
    Idle,
    /// The node ends.
    Cancelled,
    /// The relay has a newer session, or none: go on there at once.
    SessionChanged,
    /// The lane has begun another life: go on with that at once.
    NewLife,
    /// The destination asked for a pause, milliseconds.
    Later(u64),
    /// Something went wrong; try again after a growing pause.
    Failed(String),
}

impl From<HostError> for End {
    fn from(error: HostError) -> Self {
        Self::Failed(format!("this relay's own store failed: {error}"))
    }
}

impl From<LinkFault> for End {
    fn from(fault: LinkFault) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What one lane's worker keeps over all streams.
struct Work<'a> {
    worker: &'a LaneWorker,
    lane: &'a LaneId,
    nudge: &'a Notify,
    peer: Arc<Peer>,
    watch: Watch,
    backoff: Backoff,
}

impl LaneWorker {
    /// Works a lane until nothing is left to do for a while.
    pub(crate) async fn run(&self, lane: &LaneId, nudge: &Notify) {
        let peer = self.connector.peers.peer(&lane.peer);
        let watch = peer.watch();
        let mut work = Work { worker: self, lane, nudge, peer, watch, backoff: Backoff::default() };
        while work.round().await {}
    }
}

impl Work<'_> {
    /// One stream, and the pause after it. False when the worker is to end.
    async fn round(&mut self) -> bool {
        let state = match self.worker.outbox.lane(self.lane).await {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(lane = %self.lane, %error, "the outbox failed; the lane waits");
                let again = self.failed();
                return self.pause(again, None).await;
            }
        };
        self.peer.set_backlog(&self.lane.peer, self.lane.class, state.backlog());
        if state.backlog() == 0 {
            return false;
        }
        let Some(session) = self.session().await else { return false };
        let again = match self.carry(&session, state).await {
            End::Idle | End::Cancelled => return false,
            End::SessionChanged | End::NewLife => return true,
            End::Later(ms) => self.worker.own.now().after(ms.min(MAX_DELAY_MS)),
            End::Failed(why) => {
                tracing::warn!(lane = %self.lane, why, "the lane is interrupted");
                self.failed()
            }
        };
        self.pause(again, Some(&session)).await
    }

    fn failed(&mut self) -> Millis {
        self.backoff.handle_failure(self.worker.own.now(), rand::random())
    }

    /// A session: the current one, or a new one as soon as the backoff allows.
    async fn session(&mut self) -> Option<Arc<Session>> {
        loop {
            if let Some(session) = self.peer.session() {
                return Some(session);
            }
            if !self.pause(self.peer.not_before(), None).await {
                return None;
            }
            let session = self.worker.connector.session(&self.lane.peer);
            match self.worker.cancel.run_until_cancelled(session).await? {
                Ok(session) => return Some(session),
                Err(error) => {
                    tracing::info!(lane = %self.lane, %error, "the lane waits");
                    // Not every failure is one of the peer's: a denied relay is never dialled, so its lane waits by itself.
                    let again = match self.peer.not_before() {
                        at if at > self.worker.own.now() => at,
                        _ => self.failed(),
                    };
                    if !self.pause(again, None).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Waits for a time, or until the relay has another session than `than`. False when the node ends.
    async fn pause(&mut self, again: Millis, than: Option<&Session>) -> bool {
        let other = |current: &Option<Arc<Session>>| {
            let newer =
                |current: &Arc<Session>| than.is_none_or(|than| current.connection != than.connection);
            current.as_ref().is_some_and(newer)
        };
        loop {
            let wait = Duration::from_millis(again.0.saturating_sub(self.worker.own.now().0));
            tokio::select! {
                biased;
                () = self.worker.cancel.cancelled() => return false,
                _ = until(&mut self.watch, other) => return true,
                () = tokio::time::sleep(wait) => return true,
                // Nothing can be sent now; but how much waits is to be seen.
                () = self.nudge.notified() => if let Ok(state) = self.worker.outbox.lane(self.lane).await {
                    self.peer.set_backlog(&self.lane.peer, self.lane.class, state.backlog());
                }
            }
        }
    }

    async fn carry(&mut self, session: &Session, state: LaneState) -> End {
        let network = &self.worker.connector.network;
        let opening = network.open(session.peer, session.connection, Protocol::Deliver);
        let stream = tokio::select! {
            () = self.worker.cancel.cancelled() => return End::Cancelled,
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
            sender: Sender::new(lane, state, self.worker.own.now()),
            writer: FrameWriter::new(writing),
            incarnation: state.incarnation,
            told: state.oldest,
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
}

impl Run<'_, '_> {
    async fn drive(mut self, reading: ReadHalf<Stream>, session: &Session) -> Result<Infallible, End> {
        let own = Arc::clone(&self.work.worker.own);
        let mut reader = FrameReader::new(reading, MAX_RECEIPT);
        let open = DeliverFrame::Open(self.sender.open());
        in_time(self.writer.send(&open)).await?;
        loop {
            self.send_what_fits(&own).await?;
            let silence = self.sender.poll_timeout();
            let wait = silence.map_or(IDLE, |at| Duration::from_millis(at.0.saturating_sub(own.now().0)));
            tokio::select! {
                () = self.work.worker.cancel.cancelled() => {
                    self.close().await;
                    return Err(End::Cancelled);
                }
                _ = until(&mut self.work.watch, |current| is_other(current.as_ref(), session)) => {
                    return Err(End::SessionChanged);
                }
                frame = reader.value::<ReceiptFrame>() => self.handle(frame?, own.now()).await?,
                () = self.work.nudge.notified() => self.sender.handle_wake(),
                () = tokio::time::sleep(wait) => {
                    if self.sender.is_idle() {
                        self.close().await;
                        return Err(End::Idle);
                    }
                    if self.sender.handle_timeout(own.now()) {
                        return Err(End::Failed("the destination has gone silent".into()));
                    }
                }
            }
        }
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
            let Some(envelope) = self.sender.handle_items(items, &own.key, own.now())? else { break };
            let bytes = envelope.as_bytes().clone();
            metrics::counter!("posthouse_envelopes_sent_total", "class" => lane.class.name()).increment(1);
            metrics::counter!("posthouse_envelope_bytes_sent_total").increment(bytes.len() as u64);
            let octets = Octets::new(bytes)
                .map_err(|e| End::Failed(format!("an envelope came out too large: {e}")))?;
            let frame = DeliverFrame::Envelope(octets);
            in_time(self.writer.feed(&frame)).await?;
        }
        in_time(self.writer.flush()).await
    }

    async fn handle(&mut self, frame: ReceiptFrame, now: Millis) -> Result<(), End> {
        match self.sender.handle_receipt(frame, now)? {
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
                    self.work.backoff.handle_contact();
                }
                let lane = self.work.lane;
                self.work.peer.set_backlog(&lane.peer, lane.class, self.sender.in_flight());
                Ok(())
            }
        }
    }

    async fn close(&mut self) {
        // The destination knows its cursor; a farewell that is lost changes nothing.
        let _ = in_time(self.writer.close()).await;
    }
}

async fn in_time(write: impl Future<Output = std::io::Result<()>>) -> Result<(), End> {
    match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Failed(format!("the stream broke: {error}"))),
        Err(_) => Err(End::Failed("the stream takes nothing more".into())),
    }
}
