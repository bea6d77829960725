//! The writing loop of a connection: answers first, then what waits in the mailbox, and a ping now and then.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::Message;
use futures::SinkExt as _;
use posthouse_spec::MailboxSeq;
use posthouse_spec::cbor::Octets;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{Accepted, Down, Push};
use posthouse_spec::limits::PUSH_WINDOW;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use super::frames::{End, encode};
use super::shared::{Answer, Shared, Sink};
use crate::metrics::PUSHED;

/// How often a silent client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// How long one batch may take to go out before the client counts as gone.
const STALL: Duration = Duration::from_secs(60);
/// Items that are read from the store at once.
const BATCH_ITEMS: usize = 128;
/// Bytes that are read from the store at once; one larger item is read alone.
const BATCH_BYTES: usize = 256 * 1024;

/// Writes until the connection ends, and says why it does.
pub(super) async fn run(shared: &Shared, sink: &mut Sink, mut answers: mpsc::Receiver<Answer>) -> End {
    let mut ping = interval_at(tokio::time::Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut window = Window::default();
    // What waited before the connection wakes nobody.
    let mut more = true;
    loop {
        let step = tokio::select! {
            biased;
            Some(answer) = answers.recv() => {
                let batch = std::iter::once(answer).chain(std::iter::from_fn(|| answers.try_recv().ok()));
                let messages = batch.map(|answer| encode(&frame(answer))).collect();
                send(sink, messages).await
            }
            _ = ping.tick() => send(sink, vec![Message::Ping(Bytes::new())]).await,
            () = std::future::ready(()), if more && window.room(shared) > 0 => {
                match push(shared, sink, &mut window).await {
                    Ok(pushed) => {
                        more = pushed;
                        Ok(())
                    }
                    Err(end) => Err(end),
                }
            }
            () = shared.entered.wake.notified() => {
                more = true;
                Ok(())
            }
        };
        if let Err(end) = step {
            return end;
        }
    }
}

fn frame(answer: Answer) -> Down {
    match answer {
        Answer::Accepted(through) => Down::Accepted(Accepted { through }),
        Answer::Refused(refused) => Down::Refused(refused),
    }
}

/// The pushes that wait for an acknowledgement.
#[derive(Default)]
struct Window(VecDeque<MailboxSeq>);

impl Window {
    /// How many more may be pushed.
    fn room(&mut self, shared: &Shared) -> usize {
        let acked = MailboxSeq(shared.acked.load(Ordering::Relaxed));
        while self.0.front().is_some_and(|seq| *seq <= acked) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            // An idle connection holds no memory for its busy days.
            self.0 = VecDeque::new();
        }
        (PUSH_WINDOW as usize).saturating_sub(self.0.len())
    }
}

/// Pushes one batch; says whether there may be more.
async fn push(shared: &Shared, sink: &mut Sink, window: &mut Window) -> Result<bool, End> {
    let after = shared.pushed();
    let items = window.room(shared).min(BATCH_ITEMS);
    let batch =
        shared.context.store.pending(shared.who, after, items, BATCH_BYTES).await.map_err(|error| {
            tracing::error!(%error, "reading a mailbox failed");
            End::Said(Refusal::Internal, "the relay failed inside; connect again later".into())
        })?;
    let Some(last) = batch.last().map(|item| item.seq) else { return Ok(false) };
    let count = batch.len();
    let mut messages = Vec::with_capacity(count);
    for waiting in batch {
        let item = Octets::new(waiting.delivery).map_err(|fault| {
            tracing::error!(%fault, seq = %waiting.seq, "a mailbox holds what no frame can carry");
            End::Said(Refusal::Internal, "the relay failed inside; tell its operator".into())
        })?;
        messages.push(encode(&Down::Push(Push { seq: waiting.seq, item })));
        window.0.push_back(waiting.seq);
    }
    // Set before the frames go out: the acknowledgement may be back before this loop runs again.
    shared.pushed.store(last.0, Ordering::Relaxed);
    send(sink, messages).await?;
    metrics::counter!(PUSHED).increment(count as u64);
    Ok(true)
}

/// Writes messages and flushes once.
async fn send(sink: &mut Sink, messages: Vec<Message>) -> Result<(), End> {
    let write = async {
        for message in messages {
            sink.feed(message).await?;
        }
        sink.flush().await
    };
    match timeout(STALL, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}
