//! What a relay does by itself: rooms that fell behind catch up, what is too old expires, and gauges are read.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use posthouse_spec::Millis;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::{EXPIRED, LANE_BACKLOG, LANE_OLDEST, PEER_CONNECTED};
use crate::network::Network;
use crate::state::App;
use crate::store::{Store, Swept};

/// How often the store is swept.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// How often gauges are read and histograms are folded.
const GAUGES: Duration = Duration::from_secs(10);

/// Starts the relay's own tasks; they end with `stop`.
pub(super) fn spawn(tasks: &TaskTracker, stop: &CancellationToken, app: &App, retention_ms: u64) {
    let (rooms, clock, until) = (app.rooms.clone(), Arc::clone(&app.clock), stop.clone());
    tasks.spawn(async move { rooms.run(move || clock(), until).await });

    let (store, clock) = (app.store.clone(), Arc::clone(&app.clock));
    tasks.spawn(every(SWEEP, stop.clone(), move || {
        let (store, now) = (store.clone(), clock());
        async move {
            match store.sweep(now, retention_ms).await {
                Ok(swept) => count_expired(swept),
                Err(error) => {
                    tracing::warn!(%error, "sweeping the store failed; it is tried again in an hour");
                }
            }
        }
    }));

    let (network, recorder) = (app.network.clone(), app.operation.recorder.clone());
    let (store, clock) = (app.store.clone(), Arc::clone(&app.clock));
    tasks.spawn(every(GAUGES, stop.clone(), move || {
        read_gauges(&network);
        if let Some(recorder) = &recorder {
            recorder.run_upkeep();
        }
        let (store, now) = (store.clone(), clock());
        async move { read_lags(&store, now).await }
    }));
}

async fn every<F: Future<Output = ()>>(
    period: Duration,
    stop: CancellationToken,
    mut work: impl FnMut() -> F,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => work().await,
        }
    }
}

fn count_expired(swept: Swept) {
    for (queue, expired) in [("mailbox", swept.mailbox), ("outbox", swept.outbox), ("aside", swept.aside)] {
        if expired > 0 {
            tracing::info!(queue, expired, "items waited longer than the retention; their senders are told");
        }
        metrics::counter!(EXPIRED, "queue" => queue).increment(expired);
    }
}

fn read_gauges(network: &Network) {
    let Some(federation) = network.federation() else { return };
    for peer in federation.peers() {
        let domain = peer.domain.to_string();
        metrics::gauge!(PEER_CONNECTED, "relay" => domain.clone()).set(f64::from(u8::from(peer.connected)));
        for (class, waiting) in peer.backlog {
            let waiting = f64::from(u32::try_from(waiting).unwrap_or(u32::MAX));
            metrics::gauge!(LANE_BACKLOG, "relay" => domain.clone(), "class" => class.name()).set(waiting);
        }
    }
}

/// How far each lane lags behind, also of relays that are not connected or were denied.
async fn read_lags(store: &Store, now: Millis) {
    let lanes = match store.departing().await {
        Ok(lanes) => lanes,
        Err(error) => {
            tracing::debug!(%error, "the lags of the lanes cannot be read now");
            return;
        }
    };
    for lane in lanes {
        let waited = lane.oldest.map_or(0, |at| now.0.saturating_sub(at.0) / 1000);
        let seconds = f64::from(u32::try_from(waited).unwrap_or(u32::MAX));
        metrics::gauge!(LANE_OLDEST, "relay" => lane.peer.to_string(), "class" => lane.class.name())
            .set(seconds);
    }
}
