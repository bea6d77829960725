//! The one writer: it takes whatever waits into one transaction, and answers when that is durable.

use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::error::StoreError;
use super::pending::Woken;
use super::tx::Tx;
use super::types::Wakes;
use crate::metrics::{BATCH_ITEMS, COMMIT_SECONDS};

/// Jobs that may wait for the writer; whoever comes later waits for a place.
pub(crate) const MAX_WAITING_JOBS: usize = 16_384;
/// Most jobs in one transaction.
const MAX_BATCH: usize = 1024;

/// What a job does within the transaction.
type Run<T> = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send>;

/// One job for the writer.
pub(crate) trait Job: Send {
    /// Does its part of the transaction. An error undoes the whole batch, unless the job is isolated.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(), StoreError>>;
    /// Whether its failure is its own alone. That costs a savepoint, which frequent jobs do without.
    fn isolated(&self) -> bool;
    /// Tells the caller, once it is known whether the transaction stands.
    fn answer(self: Box<Self>, transaction: &Result<(), StoreError>);
}

struct Work<T> {
    run: Option<Run<T>>,
    isolated: bool,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send> Job for Work<T> {
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(), StoreError>> {
        Box::pin(async move {
            let Some(run) = self.run.take() else { return Ok(()) };
            let result = run(tx).await;
            let outcome = result.as_ref().map(drop).map_err(Clone::clone);
            self.result = Some(result);
            outcome
        })
    }

    fn isolated(&self) -> bool {
        self.isolated
    }

    fn answer(self: Box<Self>, transaction: &Result<(), StoreError>) {
        let result = match (transaction, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Closed),
            (Err(error), _) => Err(error.clone()),
        };
        // A caller that has gone does not want the answer.
        let _ = self.caller.send(result);
    }
}

/// Makes a job from a closure over the transaction, and the receiver of its answer.
pub(crate) fn job<T: Send + 'static>(
    isolated: bool,
    run: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
) -> (Command, oneshot::Receiver<Result<T, StoreError>>) {
    let (caller, answer) = oneshot::channel();
    let work = Work { run: Some(Box::new(run)), isolated, result: None, caller };
    (Command::Job(Box::new(work)), answer)
}

/// What the writer is told.
pub(crate) enum Command {
    /// Do this.
    Job(Box<dyn Job>),
    /// Write the log back into the database.
    Checkpoint,
    /// Finish what came before, and end.
    Close,
}

/// The writer's task.
pub(crate) struct Writer {
    pub(crate) tx: Tx,
    pub(crate) fence: i64,
    pub(crate) wakes: Wakes,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Cancelled when another node has taken the store over.
    pub(crate) lost: CancellationToken,
}

impl Writer {
    /// Works until it is told to close, or nobody is left who could.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        'open: while let Some(command) = self.commands.recv().await {
            let mut next = Some(command);
            while let Some(command) = next {
                match command {
                    Command::Job(job) => batch.push(job),
                    Command::Checkpoint => {
                        self.transact(&mut batch).await;
                        self.checkpoint().await;
                    }
                    Command::Close => {
                        self.transact(&mut batch).await;
                        break 'open;
                    }
                }
                next = if batch.len() < MAX_BATCH { self.commands.try_recv().ok() } else { None };
            }
            self.transact(&mut batch).await;
        }
        // Later jobs see a closed channel, and those that still wait an answer that never comes: both are `Closed`.
        drop(self.commands);
        let closed = sqlx::Connection::close(self.tx.conn).await;
        if let Err(error) = closed {
            tracing::warn!(%error, "the store's connection did not close cleanly");
        }
    }

    async fn checkpoint(&mut self) {
        if let Err(error) = self.tx.run("PRAGMA wal_checkpoint(TRUNCATE)", "write the log back").await {
            tracing::warn!(%error, "the store's log could not be written back now; the next sweep tries again");
        }
    }

    async fn transact(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        let begun = Instant::now();
        let outcome = self.attempt(batch).await;
        metrics::histogram!(COMMIT_SECONDS).record(begun.elapsed().as_secs_f64());
        metrics::histogram!(BATCH_ITEMS).record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        if let Err(error) = &outcome {
            self.tx.roll_back().await;
            tracing::error!(%error, jobs = batch.len(), "a transaction failed; nothing of it is kept");
            if matches!(error, StoreError::Fenced { .. }) {
                self.lost.cancel();
            }
        }
        let woken = std::mem::take(&mut self.tx.woken);
        for job in batch.drain(..) {
            job.answer(&outcome);
        }
        self.wake(woken);
    }

    async fn attempt(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        self.tx.begin(self.fence).await?;
        for job in batch {
            if !job.isolated() {
                job.run(&mut self.tx).await?;
                continue;
            }
            self.tx.begin_part().await?;
            if job.run(&mut self.tx).await.is_ok() {
                self.tx.keep_part().await?;
            } else {
                self.tx.undo_part().await?;
            }
        }
        self.tx.commit().await
    }

    fn wake(&self, woken: Woken) {
        for mailbox in woken.mailboxes {
            (self.wakes.mailbox)(mailbox);
        }
        for lane in woken.lanes {
            (self.wakes.lane)(lane);
        }
    }
}
