//! The destination's side of `/posthouse/deliver/1`: drives a [`Receiver`] over a stream.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use futures::io::WriteHalf;
use libp2p::Stream;
use posthouse_spec::limits::MAX_ENVELOPE;
use posthouse_spec::peer::deliver::{Busy, Open};
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::peer::{DeliverFrame, ReceiptFrame};
use tokio_util::sync::CancellationToken;

use super::own::Own;
use super::peers::{Peers, Session};
use super::tasks::Tasks;
use super::wire::{Broken, WRITE_TIMEOUT};
use crate::codec::{FrameError, FrameReader, FrameWriter};
use crate::host::{Host, HostError, ReceiveError};
use crate::link::{Arrival, Receiver, Violation};

/// The largest frame of a lane, bytes: an envelope and its wrapping.
const MAX_FRAME: usize = MAX_ENVELOPE + 16;
/// How long a peer may take to name its lane.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// When a peer is asked to come back after this relay's store has failed, milliseconds.
const BUSY_MS: u64 = 1_000;
/// How long a lane that brings too much is left unread at most, milliseconds: its origin must not take this relay for dead.
const MAX_PAUSE_MS: u64 = 5_000;

/// Takes deliveries.
pub(crate) struct Deliveries {
    pub(crate) own: Arc<Own>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) tasks: Tasks,
}

/// Why a delivery stream ends.
enum End {
    /// The peer has left, another stream has taken over, or the node shuts down.
    Left,
    /// The store failed; the peer comes back later.
    Busy(HostError),
    /// The peer broke a rule.
    Broken(Violation),
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        error.rule().map_or(Self::Left, |rule| Self::Broken(Violation::new(rule, error)))
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Left
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

impl From<HostError> for End {
    fn from(error: HostError) -> Self {
        Self::Busy(error)
    }
}

type Writer = FrameWriter<WriteHalf<Stream>>;
type Reader = FrameReader<futures::io::ReadHalf<Stream>>;

impl Deliveries {
    /// Serves one lane's stream until it ends; an error is a rule that the peer broke, and has to be told of.
    pub(crate) async fn serve(&self, stream: Stream, session: &Session) -> Result<(), Broken> {
        let (reading, writing) = stream.split();
        let room = Arc::clone(&self.peers.peer(&session.domain).large_frames);
        let mut reader = FrameReader::new(reading, MAX_FRAME).with_room(room);
        let mut writer = FrameWriter::new(writing);
        let end = match self.run(&mut reader, &mut writer, session).await {
            Ok(()) => End::Left,
            Err(end) => end,
        };
        match end {
            End::Left => {
                let _ = tokio::time::timeout(WRITE_TIMEOUT, writer.close()).await;
                Ok(())
            }
            End::Busy(error) => {
                tracing::error!(origin = %session.domain, %error, "an envelope could not be stored; its relay comes back later");
                let busy = ReceiptFrame::Busy(Busy { retry_after_ms: BUSY_MS });
                let telling = async {
                    writer.send(&busy).await?;
                    writer.close().await
                };
                let _ = tokio::time::timeout(WRITE_TIMEOUT, telling).await;
                Ok(())
            }
            End::Broken(violation) => {
                // What was received before the rule was broken has been acknowledged or will be asked for again.
                Err(Broken::new(violation, reader.into_inner(), writer.into_inner()))
            }
        }
    }

    async fn run(&self, reader: &mut Reader, writer: &mut Writer, session: &Session) -> Result<(), End> {
        let open = self.opening(reader).await?;
        let peer = self.peers.peer(&session.domain);
        let turn = peer.take_over_lane(open.class, &self.tasks.cancel);
        let cursor = self.host.cursor(&session.domain, open.class, open.incarnation, open.oldest).await?;
        let mut receiver = Receiver::new(session.domain.clone(), self.own.domain.clone(), &open, cursor);
        tell(writer, &ReceiptFrame::Resume(receiver.resume())).await?;
        while let Some(frame) = next_frame(reader, writer, &mut receiver, &turn).await? {
            let DeliverFrame::Envelope(bytes) = frame else {
                return Err(Violation::new(PeerRule::OutOfTurn, "the lane was opened a second time").into());
            };
            let size = bytes.len() as u64;
            let items = self.take(bytes.into_bytes(), &mut receiver, session).await?;
            let wait = peer.handle_envelope(open.class, items, size, self.own.now()).min(MAX_PAUSE_MS);
            if receiver.must_acknowledge() || wait > 0 {
                acknowledge(writer, &mut receiver).await?;
            }
            if wait > 0 {
                metrics::counter!("posthouse_lane_pauses_total", "class" => open.class.name()).increment(1);
                let pause = tokio::time::sleep(Duration::from_millis(wait));
                if turn.run_until_cancelled(pause).await.is_none() {
                    break;
                }
            }
        }
        acknowledge(writer, &mut receiver).await
    }

    async fn opening(&self, reader: &mut Reader) -> Result<Open, End> {
        let opening = tokio::time::timeout(OPEN_TIMEOUT, reader.value::<DeliverFrame>());
        match self.tasks.cancel.run_until_cancelled(opening).await {
            None => Err(End::Left),
            Some(Err(_)) => {
                Err(Violation::new(PeerRule::OutOfTurn, "the stream was opened, but no lane was named")
                    .into())
            }
            Some(Ok(frame)) => match frame? {
                DeliverFrame::Open(open) => Ok(open),
                DeliverFrame::Envelope(_) => {
                    Err(Violation::new(PeerRule::OutOfTurn, "an envelope came before the lane was named")
                        .into())
                }
            },
        }
    }

    /// Checks an envelope and hands it to the inbox, which has stored it when this returns: how many items it had.
    async fn take(
        &self,
        bytes: bytes::Bytes,
        receiver: &mut Receiver,
        session: &Session,
    ) -> Result<u64, End> {
        let now = self.own.now();
        let size = bytes.len() as u64;
        // The relay may have a newer manifest than when it said hello on this connection.
        let newest = self.peers.session_on(session.connection);
        let manifest = newest.as_ref().map_or(&session.manifest, |newest| &newest.manifest);
        let arrival = receiver.handle_envelope(bytes, |key| manifest.lists_node(key, now))?;
        let Arrival::New(envelope) = arrival else {
            metrics::counter!("posthouse_envelopes_repeated_total").increment(1);
            return Ok(0);
        };
        let items = envelope.items.len() as u64;
        let (class, first) = (envelope.class, envelope.first);
        match self.host.receive(&session.domain, *envelope).await {
            Ok(received) => {
                metrics::counter!("posthouse_envelopes_received_total", "class" => class.name()).increment(1);
                metrics::counter!("posthouse_envelope_bytes_received_total").increment(size);
                receiver.handle_received(received);
                Ok(items)
            }
            Err(ReceiveError::Host(error)) => Err(End::Busy(error)),
            Err(ReceiveError::Gap { expected }) => {
                let detail = format!("item {expected} was expected, {first} came");
                Err(Violation::new(PeerRule::Gap, detail).into())
            }
            Err(ReceiveError::Rule(rule, detail)) => Err(Violation::new(rule, detail).into()),
        }
    }
}

/// The next frame. Before it is waited for, everything that is durable is acknowledged; while more frames wait to be
/// read, one acknowledgement serves them all.
async fn next_frame(
    reader: &mut Reader,
    writer: &mut Writer,
    receiver: &mut Receiver,
    turn: &CancellationToken,
) -> Result<Option<DeliverFrame>, End> {
    if !reader.is_ready() {
        acknowledge(writer, receiver).await?;
    }
    let Some(frame) = turn.run_until_cancelled(reader.next()).await else { return Ok(None) };
    let Some(frame) = frame? else { return Ok(None) };
    Ok(Some(posthouse_spec::Cbor::from_cbor(&frame).map_err(FrameError::from)?))
}

async fn acknowledge(writer: &mut Writer, receiver: &mut Receiver) -> Result<(), End> {
    match receiver.poll_ack() {
        Some(ack) => tell(writer, &ReceiptFrame::Ack(ack)).await,
        None => Ok(()),
    }
}

async fn tell(writer: &mut Writer, frame: &ReceiptFrame) -> Result<(), End> {
    tokio::time::timeout(WRITE_TIMEOUT, writer.send(frame)).await.map_err(|_| End::Left)??;
    Ok(())
}
