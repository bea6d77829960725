//! A wire: frames from one TAP device to another and back, with delay, loss and cuts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tun_rs::{AsyncDevice, SyncDevice};

/// Frames that are on their way in one direction; more are lost, as in any queue.
const QUEUE: usize = 8192;
/// The largest frame, bytes.
const FRAME: usize = 64 * 1024;

/// How a wire treats frames, each way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// How long a frame is under way.
    pub delay: Duration,
    /// Which part of the frames is lost: 0.05 is one in twenty.
    pub loss: f64,
    /// Nothing passes.
    pub cut: bool,
}

/// A wire. It ends when it is dropped.
#[derive(Debug)]
pub struct Wire {
    weather: Arc<Mutex<Weather>>,
    _ways: Vec<AbortOnDropHandle<()>>,
}

impl Wire {
    /// Between two devices. `seed` throws the dice.
    pub(super) fn between(a: SyncDevice, b: SyncDevice, seed: u64) -> Result<Self> {
        let device = |device| AsyncDevice::new(device).map(Arc::new).context("watching a TAP device");
        let (a, b) = (device(a)?, device(b)?);
        let weather = Arc::<Mutex<Weather>>::default();
        let mut ways = Vec::new();
        for (from, to, seed) in [(&a, &b, seed), (&b, &a, !seed)] {
            let (queue, waiting) = mpsc::channel(QUEUE);
            let dice = StdRng::seed_from_u64(seed);
            ways.push(tokio::spawn(take(Arc::clone(from), Arc::clone(&weather), dice, queue)));
            ways.push(tokio::spawn(hand_over(waiting, Arc::clone(to))));
        }
        Ok(Self { weather, _ways: ways.into_iter().map(AbortOnDropHandle::new).collect() })
    }

    /// From now on it is so.
    pub fn set(&self, weather: Weather) {
        *lock(&self.weather) = weather;
    }

    /// Nothing passes until [`mend`](Self::mend).
    pub fn cut(&self) {
        lock(&self.weather).cut = true;
    }

    /// Everything passes again, as it did before.
    pub fn mend(&self) {
        lock(&self.weather).cut = false;
    }
}

fn lock(weather: &Mutex<Weather>) -> MutexGuard<'_, Weather> {
    weather.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Frame {
    due: Instant,
    bytes: Vec<u8>,
}

async fn take(
    from: Arc<AsyncDevice>,
    weather: Arc<Mutex<Weather>>,
    mut dice: StdRng,
    queue: mpsc::Sender<Frame>,
) {
    let mut buffer = vec![0; FRAME];
    // A device that is gone has gone with its namespace.
    while let Ok(length) = from.recv(&mut buffer).await {
        let Weather { delay, loss, cut } = *lock(&weather);
        if cut || dice.random_bool(loss.clamp(0.0, 1.0)) {
            continue;
        }
        let frame = Frame { due: Instant::now() + delay, bytes: buffer[..length].to_vec() };
        // A full queue loses the frame.
        let _ = queue.try_send(frame);
    }
}

async fn hand_over(mut waiting: mpsc::Receiver<Frame>, to: Arc<AsyncDevice>) {
    while let Some(Frame { due, bytes }) = waiting.recv().await {
        tokio::time::sleep_until(due).await;
        // The device may be down for a moment, while it is set up.
        let _ = to.send(&bytes).await;
    }
}
