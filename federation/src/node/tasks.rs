//! The node's tasks: one token ends them, one tracker waits for them.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where tasks are started. Works from any thread, because it keeps the runtime that the node was started on.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    pub(crate) cancel: CancellationToken,
    runtime: Handle,
}

impl Tasks {
    /// On the current runtime.
    pub(crate) fn new() -> Self {
        Self { tracker: TaskTracker::new(), cancel: CancellationToken::new(), runtime: Handle::current() }
    }

    /// Starts a task that ends by itself once the token is cancelled.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(task, &self.runtime)
    }

    /// Starts a task that may be broken off anywhere.
    pub(crate) fn spawn_cancellable(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        drop(self.spawn(async move {
            // Whether it ran to its end is of no interest here.
            let _ = cancel.run_until_cancelled_owned(task).await;
        }));
    }
}
