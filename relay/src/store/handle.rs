//! The store's handle: how everything else of the relay reaches the writer and the readers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use posthouse_spec::Domain;
use sqlx::SqlitePool;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::columns::Columns;
use super::error::StoreError;
use super::handed::Handed;
use super::open;
use super::tx::Tx;
use super::types::Wakes;
use super::writer::{Command, MAX_WAITING_JOBS, Writer, job};
use crate::quota::Quotas;

/// The relay's store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    commands: mpsc::Sender<Command>,
    readers: SqlitePool,
    own: Domain,
    folder: PathBuf,
    lock: File,
    writer: Mutex<Option<JoinHandle<()>>>,
    lost: CancellationToken,
    handed: Handed,
}

impl Store {
    /// Opens the store in `folder` and makes it when there is none; `node` names this node of the relay. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// The folder is in use, newer, of another domain, or cannot be read or written.
    pub async fn open(folder: &Path, domain: &Domain, node: &str, wakes: Wakes) -> Result<Self, StoreError> {
        Self::open_with(folder, domain, node, wakes, Quotas::default()).await
    }

    /// As [`Store::open`], with other quotas.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(
        folder: &Path,
        domain: &Domain,
        node: &str,
        wakes: Wakes,
        quotas: Quotas,
    ) -> Result<Self, StoreError> {
        let opened = open::open(folder, domain, node).await?;
        let (commands, queue) = mpsc::channel(MAX_WAITING_JOBS);
        let tx = Tx {
            conn: opened.writer,
            own: domain.clone(),
            quota: quotas.mailbox,
            outbox_quota: quotas.outbox,
            marks: opened.marks,
            caches: Default::default(),
            pending: Default::default(),
            woken: Default::default(),
        };
        let lost = CancellationToken::new();
        let writer = Writer { tx, fence: opened.fence, wakes, commands: queue, lost: lost.clone() };
        let writer = Mutex::new(Some(tokio::spawn(writer.run())));
        let inner = Inner {
            commands,
            readers: opened.readers,
            own: domain.clone(),
            folder: folder.to_owned(),
            lock: opened.lock,
            writer,
            lost,
            handed: Handed::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Finishes what waits, and closes. Later calls get [`StoreError::Closed`].
    pub async fn close(&self) {
        let writer = self.inner.writer.lock().ok().and_then(|mut writer| writer.take());
        let Some(writer) = writer else { return };
        // The writer may have ended by itself; then there is nobody to tell.
        let _ = self.inner.commands.send(Command::Close).await;
        if let Err(error) = writer.await {
            tracing::error!(%error, "the store's writer ended badly");
        }
        self.inner.readers.close().await;
        if let Err(error) = self.inner.lock.unlock() {
            tracing::warn!(%error, folder = %self.inner.folder.display(), "the data folder's lock stays");
        }
    }

    /// Whether the store can be read and written now: for readiness checks.
    ///
    /// # Errors
    /// Why not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT count(*) FROM owner")
            .fetch_one(self.readers())
            .await
            .map_err(StoreError::sql("look whether it answers"))?;
        row.number(0)?;
        self.write(|_| Box::pin(async { Ok(()) })).await
    }

    /// Returns when another node has taken the store over: from then on this one can write nothing.
    pub async fn lost(&self) {
        self.inner.lost.cancelled().await;
    }

    /// Writes the log back into the database and empties it, so that what was deleted is gone from the disk too.
    pub(crate) async fn checkpoint(&self) {
        // A store that is closing does so by itself.
        let _ = self.inner.commands.send(Command::Checkpoint).await;
    }

    /// The domain whose relay this is.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.inner.own
    }

    pub(crate) fn handed(&self) -> &Handed {
        &self.inner.handed
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    /// Runs a job whose failure is its own alone, and waits until it is durable.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        run: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, answer) = job(true, run);
        self.inner.commands.send(command).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues a frequent job at once, so that calls keep their order; the future waits until it is durable.
    pub(crate) fn queue<T: Send + 'static>(
        &self,
        run: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let (command, answer) = job(false, run);
        let late = match self.inner.commands.try_send(command) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(command)) => Some((self.inner.commands.clone(), command)),
            Err(mpsc::error::TrySendError::Closed(_)) => None,
        };
        async move {
            if let Some((commands, command)) = late {
                commands.send(command).await.map_err(|_| StoreError::Closed)?;
            }
            answer.await.map_err(|_| StoreError::Closed)?
        }
    }
}
