//! The reading loop of a connection.
//!
//! Submits are handed to the store as they come, up to the credit window, so that a group commit takes many at once;
//! their answers come back in the order of the submits. Acknowledgements overtake each other: while one is written, only
//! the newest of those that follow is kept.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use posthouse_spec::cbor::Text;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{Refused, Submit, Up};
use posthouse_spec::limits::SUBMIT_WINDOW;
use posthouse_spec::{MailboxSeq, Number};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::frames::{End, Incoming, decode};
use super::shared::{Answer, Shared, Stream};
use crate::metrics::{ACCEPTED, REFUSED};
use crate::store::{StoreError, SubmitOutcome};

/// How long a client may be silent, pings unanswered.
const SILENCE: Duration = Duration::from_secs(75);

/// Reads until the connection ends, and says why it does.
pub(super) async fn run(shared: &Shared, stream: &mut Stream, answers: mpsc::Sender<Answer>) -> End {
    let mut submits: FuturesOrdered<BoxFuture<'static, Answer>> = FuturesOrdered::new();
    let mut acks = Acks::default();
    let mut silence = pin!(sleep_until(Instant::now() + SILENCE));
    let mut expiry = pin!(sleep_until(shared.ends));
    loop {
        let room = submits.len() < SUBMIT_WINDOW as usize;
        tokio::select! {
            () = shared.entered.superseded.cancelled() => {
                return End::Said(Refusal::Superseded, "another connection of this device took over".into());
            }
            () = &mut expiry => {
                return End::Said(Refusal::Unauthenticated, "the session has ended; log in again".into());
            }
            () = &mut silence, if room => return End::Gone,
            Some(first) = submits.next() => {
                if hand_on(first, &mut submits, &answers).await.is_err() {
                    return End::Gone;
                }
            }
            Some(result) = acks.written() => {
                if let Err(end) = acks.next(shared, result) {
                    return end;
                }
            }
            message = stream.next(), if room => {
                silence.as_mut().reset(Instant::now() + SILENCE);
                match decode(message) {
                    Err(end) => return end,
                    Ok(Incoming::Alive) => {}
                    Ok(Incoming::Frame(Up::Submit(submit))) => {
                        submits.push_back(take(shared, submit));
                    }
                    Ok(Incoming::Frame(Up::Ack(ack))) => {
                        if ack.through > shared.pushed() {
                            return End::malformed(
                                "bad-value",
                                format_args!("position {} is acknowledged and was not pushed", ack.through),
                            );
                        }
                        shared.acked.fetch_max(ack.through.0, Ordering::Relaxed);
                        shared.entered.wake.notify_one();
                        acks.add(shared, ack.through);
                    }
                    Ok(Incoming::Frame(Up::Hello(_))) => {
                        return End::malformed("out-of-turn", "Hello was said already");
                    }
                }
            }
        }
    }
}

/// Hands a submit to the store at once, so that submits keep their order, and gives the future of its answer.
fn take(shared: &Shared, submit: Submit) -> BoxFuture<'static, Answer> {
    let number = submit.number;
    let taken = shared.context.store.submit((shared.context.clock)(), shared.who, submit);
    Box::pin(async move { answer(number, taken.await) })
}

fn answer(number: Number, outcome: Result<SubmitOutcome, StoreError>) -> Answer {
    let (reason, detail) = match outcome {
        Ok(SubmitOutcome::Accepted) => {
            metrics::counter!(ACCEPTED).increment(1);
            return Answer::Accepted(number);
        }
        Ok(SubmitOutcome::Refused(reason, detail)) => (reason, detail),
        Err(StoreError::Busy(_)) => {
            (Refusal::Busy, "the relay is overloaded; try again in a few seconds".into())
        }
        Err(StoreError::Closed) => {
            (Refusal::ShuttingDown, "the relay is shutting down; try again later".into())
        }
        Err(error) => {
            tracing::error!(%error, "taking a message failed");
            let detail = "the relay failed inside; the message is not stored, send it again";
            (Refusal::Internal, detail.into())
        }
    };
    metrics::counter!(REFUSED, "reason" => reason.name()).increment(1);
    Answer::Refused(Refused { number, reason, detail: Text::clipped(&detail) })
}

/// Passes an answer on, together with all that are ready behind it: runs of accepted numbers become one.
async fn hand_on(
    first: Answer,
    submits: &mut FuturesOrdered<BoxFuture<'static, Answer>>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), mpsc::error::SendError<Answer>> {
    let mut held = first;
    while let Some(Some(next)) = submits.next().now_or_never() {
        if !matches!((&held, &next), (Answer::Accepted(_), Answer::Accepted(_))) {
            answers.send(held).await?;
        }
        held = next;
    }
    answers.send(held).await
}

/// Acknowledgements on their way into the store: one at a time, and the newest behind it.
#[derive(Default)]
struct Acks<'a> {
    writing: Option<BoxFuture<'a, Result<(), StoreError>>>,
    behind: Option<MailboxSeq>,
}

impl<'a> Acks<'a> {
    fn add(&mut self, shared: &'a Shared, through: MailboxSeq) {
        if self.writing.is_some() {
            self.behind = self.behind.max(Some(through));
        } else {
            self.writing = Some(Box::pin(shared.context.store.acknowledge(shared.who, through)));
        }
    }

    fn written(&mut self) -> impl Future<Output = Option<Result<(), StoreError>>> {
        OptionFuture::from(self.writing.as_mut().map(Pin::as_mut))
    }

    fn next(&mut self, shared: &'a Shared, result: Result<(), StoreError>) -> Result<(), End> {
        self.writing = None;
        if let Err(error) = result {
            tracing::error!(%error, "taking an acknowledgement failed");
            return Err(End::Said(Refusal::Internal, "the relay failed inside; connect again later".into()));
        }
        if let Some(through) = self.behind.take() {
            self.add(shared, through);
        }
        Ok(())
    }
}
