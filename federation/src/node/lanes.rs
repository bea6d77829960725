//! The lanes to other relays: a worker for each lane that has anything to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Notify;

use super::tasks::Tasks;
use super::worker::LaneWorker;
use crate::host::{LaneId, Outbox};

/// Lanes that are worked on at once; more wait until one of these is done.
const MAX_WORKERS: usize = 4096;
/// How often the outbox is asked which lanes have anything: what a lost wake-up can delay at most.
const RESCAN: Duration = Duration::from_secs(30);

/// The workers.
pub(crate) struct Lanes {
    workers: Mutex<HashMap<LaneId, Arc<Notify>>>,
    crowded: AtomicBool,
    /// Wakes the scan for lanes that found no worker.
    scan: Notify,
    template: LaneWorker,
    tasks: Tasks,
}

impl Lanes {
    /// No workers yet; each will be a copy of `template`.
    pub(crate) fn new(template: LaneWorker, tasks: Tasks) -> Self {
        Self {
            workers: Mutex::default(),
            crowded: AtomicBool::new(false),
            scan: Notify::new(),
            template,
            tasks,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaneId, Arc<Notify>>> {
        // Every change of the map is one step, so a holder that panicked leaves it sound.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something new waits on a lane: wakes its worker, or starts one.
    pub(crate) fn wake(self: &Arc<Self>, lane: &LaneId) {
        let mut workers = self.lock();
        if let Some(worker) = workers.get(lane) {
            worker.notify_one();
            return;
        }
        if self.tasks.cancel.is_cancelled() {
            return;
        }
        if workers.len() >= MAX_WORKERS {
            self.crowded.store(true, Ordering::Relaxed);
            return;
        }
        let nudge = Arc::new(Notify::new());
        workers.insert(lane.clone(), Arc::clone(&nudge));
        drop(workers);
        let (this, lane) = (Arc::clone(self), lane.clone());
        drop(self.tasks.spawn(async move {
            loop {
                this.template.run(&lane, &nudge).await;
                if this.retire(&lane, &nudge) {
                    return;
                }
            }
        }));
    }

    /// Takes a worker off the list, unless it was woken at this very moment.
    fn retire(&self, lane: &LaneId, nudge: &Notify) -> bool {
        let mut workers = self.lock();
        if !self.tasks.cancel.is_cancelled() && nudge.notified().now_or_never().is_some() {
            return false;
        }
        workers.remove(lane);
        if self.crowded.swap(false, Ordering::Relaxed) {
            self.scan.notify_one();
        }
        true
    }

    /// Starts a worker for each lane on which anything waits, now and again and again.
    pub(crate) async fn keep_scanning(self: Arc<Self>, outbox: Arc<dyn Outbox>) {
        loop {
            match outbox.lanes().await {
                Ok(lanes) => lanes.iter().for_each(|lane| self.wake(lane)),
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot say which lanes wait; it is asked again")
                }
            }
            tokio::select! {
                () = self.scan.notified() => {}
                () = tokio::time::sleep(RESCAN) => {}
            }
        }
    }
}
