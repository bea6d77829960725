//! A closed loop: every sender keeps so many messages under way, and sends the next one when one has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::conversation::{Conversation, Event, Line, Sender};
use crate::relay::Network;
use crate::stats::{Tally, Track};

/// How long the load runs before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long what is still under way at the end may take, before it counts as lost.
const DRAIN: Duration = Duration::from_secs(30);
/// Fewest sealed bodies that a sender sends round and round.
const MIN_BODIES: usize = 64;

/// What a closed loop found.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What became of the messages, the warm-up's included; latencies of those in the measured time.
    pub(crate) tally: Tally,
    /// Messages that arrived each second.
    pub(crate) delivered_per_s: f64,
    /// CPU seconds of all relays for 1,000 of them.
    pub(crate) cpu_s_per_1000: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measure,
    Drain,
}

/// A point in time: what had been delivered, and what the relays had used.
struct Mark {
    at: Instant,
    delivered: u64,
    cpu: f64,
}

impl Mark {
    fn now(network: &Network, delivered: &AtomicU64) -> Result<Self> {
        let (at, cpu) = (Instant::now(), network.cpu_seconds()?);
        Ok(Self { at, delivered: delivered.load(Ordering::Relaxed), cpu })
    }
}

/// Runs the loop: a warm-up, the measured time, and then until all has arrived.
pub(crate) async fn closed_loop(
    network: &Network,
    conversations: Vec<Conversation>,
    outstanding: u64,
    time: Duration,
) -> Result<Measured> {
    let delivered = Arc::new(AtomicU64::new(0));
    let (phase, phase_seen) = watch::channel(Phase::WarmUp);
    let mut tasks = JoinSet::new();
    let bodies = usize::try_from(outstanding * 4)?.max(MIN_BODIES);
    for mut conversation in conversations {
        let track = Track::new(conversation.seal(bodies).await?);
        let Conversation { sender, receiver, .. } = conversation;
        let pair = Pair {
            sender,
            receiver,
            track,
            outstanding,
            phase: phase_seen.clone(),
            delivered: delivered.clone(),
        };
        tasks.spawn(pair.run());
    }
    run_for(WARM_UP, &mut tasks).await?;
    phase.send_replace(Phase::Measure);
    let start = Mark::now(network, &delivered)?;
    run_for(time, &mut tasks).await?;
    let end = Mark::now(network, &delivered)?;
    phase.send_replace(Phase::Drain);
    let mut tally = Tally::default();
    while let Some(ended) = tasks.join_next().await {
        tally.add(ended??);
    }
    let count = (end.delivered - start.delivered) as f64;
    if count == 0.0 {
        bail!("nothing arrived in {} s", time.as_secs());
    }
    Ok(Measured {
        tally,
        delivered_per_s: count / (end.at - start.at).as_secs_f64(),
        cpu_s_per_1000: (end.cpu - start.cpu) / count * 1000.0,
    })
}

/// Lets the pairs run for so long; the first that fails ends the run.
async fn run_for(time: Duration, tasks: &mut JoinSet<Result<Tally>>) -> Result<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(ended) = tasks.join_next() => {
            ended??;
            Err(anyhow!("a pair ended before its time"))
        }
    }
}

/// One sender and one receiver. They are one task, so that nothing between them has to be locked.
struct Pair {
    sender: Sender,
    receiver: Line,
    track: Track,
    outstanding: u64,
    phase: watch::Receiver<Phase>,
    delivered: Arc<AtomicU64>,
}

impl Pair {
    async fn run(mut self) -> Result<Tally> {
        let mut deadline = None;
        loop {
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Drain {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + DRAIN);
                if self.track.outstanding() == 0 || Instant::now() >= deadline {
                    return Ok(self.track.finish());
                }
            } else {
                self.fill().await?;
            }
            tokio::select! {
                biased;
                event = self.receiver.next() => {
                    self.arrived(event?, phase)?;
                    while let Some(event) = self.receiver.waiting() {
                        self.arrived(event?, phase)?;
                    }
                    self.receiver.acknowledge().await?;
                }
                progress = self.sender.progress() => {
                    progress?;
                    self.sender.acknowledge().await?;
                }
                changed = self.phase.changed() => changed.context("the run was given up")?,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
            }
        }
    }

    /// Sends what may be under way, in one write.
    async fn fill(&mut self) -> Result<()> {
        let mut fed = false;
        while self.track.outstanding() < self.outstanding && self.sender.has_credit() {
            let body = self.track.send(std::time::Instant::now());
            self.sender.feed(body).await?;
            fed = true;
        }
        if fed { self.sender.flush().await } else { Ok(()) }
    }

    fn arrived(&mut self, event: Event, phase: Phase) -> Result<()> {
        let Event::Message(message) = event else { return Ok(()) };
        let now = std::time::Instant::now();
        let Ok(arrival) = self.track.arrive(&message.body, now) else {
            bail!("a message of {} bytes came that nobody sent", message.body.len());
        };
        if let Some(latency) = arrival {
            self.delivered.fetch_add(1, Ordering::Relaxed);
            if phase == Phase::Measure {
                self.track.measured(latency);
            }
        }
        Ok(())
    }
}
