//! One relay of many is dead: latency to the others, without and with it, in turns.
//!
//! The load is paced, not closed: each conversation sends at a steady rate whatever comes back, so that a relay which is
//! held up by a dead peer shows it as latency. The sender to the dead relay goes on writing, and its messages have to
//! arrive after the return like any others.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::{OTHER_SOCKETS, describe_messages, home, rounded, settings};
use crate::args::{Args, Scenario};
use crate::client::Home;
use crate::conversation::{Conversation, Event};
use crate::relay::{Ground, Network};
use crate::report::Row;
use crate::stats::{Tally, Track, percentile_ms};

/// How long the load runs before anything is measured.
pub(super) const WARM_UP: Duration = Duration::from_secs(2);
/// How long what is still under way may take at the end, before it counts as lost.
const DRAIN: Duration = Duration::from_secs(60);
/// Sealed bodies of each sender, beyond those of the longest outage: they are sent round and round.
pub(super) const SPARE_BODIES: usize = 256;

/// What the conversations are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Send; latencies do not count.
    WarmUp,
    /// Send; latencies count for this measurement.
    Measure(usize),
    /// Send no more, and end when all has come.
    Drain,
}

/// What the doomed conversation is told besides: its relay is back, reached by this.
pub(super) type Returned = mpsc::Receiver<Home>;

pub(super) struct Pair {
    pub(super) conversation: Conversation,
    pub(super) track: Track,
    pub(super) every: Duration,
    pub(super) offset: Duration,
    pub(super) phase: watch::Receiver<Phase>,
    /// Latencies by measurement.
    pub(super) latencies: Vec<Vec<Duration>>,
}

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    let names: Vec<String> = (0..args.peers).map(|n| format!("p{n}.localhost")).collect();
    let domains: Vec<&str> = ["a.localhost"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut network = Network::start(&domains, ground, OTHER_SOCKETS + args.peers).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("peers".into(), json!(args.peers));
    settings.insert("rate_of_each".into(), json!(args.rate));
    settings.insert("seconds".into(), json!(args.seconds));
    describe_messages(&mut settings);
    let (phase, seen) = watch::channel(Phase::WarmUp);
    let (returned, returns) = mpsc::channel(1);
    let mut tasks = start(&network, args, &seen, returns).await?;
    let time = Duration::from_secs(args.seconds);
    // Without and with the dead relay by turns, so that the machine's moods fall on both.
    for round in 0..args.rounds as usize {
        for (half, dead) in [false, true].into_iter().enumerate() {
            let doomed = network.relays_mut().last_mut().context("the scenario has relays")?;
            if dead {
                doomed.kill().await?;
            }
            run_for(WARM_UP, &mut tasks).await?;
            phase.send_replace(Phase::Measure(round * 2 + half));
            run_for(time, &mut tasks).await?;
            phase.send_replace(Phase::WarmUp);
        }
        let doomed = network.relays_mut().last_mut().context("the scenario has relays")?;
        doomed.start().await?;
        returned.send(home(doomed).await?).await.map_err(|_| anyhow!("the doomed pair ended"))?;
        run_for(WARM_UP, &mut tasks).await?;
    }
    phase.send_replace(Phase::Drain);
    let mut measured = vec![Vec::new(); args.rounds as usize * 2];
    let mut tally = Tally::default();
    while let Some(ended) = tasks.join_next().await {
        let (pair, latencies) = ended??;
        tally.add(pair);
        for (all, some) in measured.iter_mut().zip(latencies) {
            all.extend(some);
        }
    }
    let p99: Vec<f64> =
        measured.iter_mut().map(|latencies| percentile_ms(latencies, 99).unwrap_or(f64::NAN)).collect();
    let (without, with) = (median(p99.iter().step_by(2)), median(p99.iter().skip(1).step_by(2)));
    settings.insert("p99_ms_none_dead".into(), json!(rounded(without, 3)));
    settings.insert("p99_ms_one_dead".into(), json!(rounded(with, 3)));
    settings.insert("ratio".into(), json!(rounded(with / without, 3)));
    settings
        .insert("p99_ms_in_turns".into(), json!(p99.iter().map(|ms| rounded(*ms, 3)).collect::<Vec<_>>()));
    let mut row = Row::new(Scenario::DeadPeer, settings);
    row.p99_ms = rounded(with, 3);
    Ok(row.with_tally(&tally))
}

pub(super) fn median<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    let mut values: Vec<f64> = values.copied().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(super) type Tasks = JoinSet<Result<(Tally, Vec<Vec<Duration>>)>>;

async fn start(
    network: &Network,
    args: &Args,
    phase: &watch::Receiver<Phase>,
    returns: Returned,
) -> Result<Tasks> {
    let (first, peers) = network.relays().split_first().context("the scenario has relays")?;
    let alices = home(first).await?;
    let mut tasks = JoinSet::new();
    let mut returns = Some(returns);
    let every = Duration::from_secs(1) / args.rate;
    let outage = Duration::from_secs(args.seconds) + WARM_UP * 4;
    let bodies = (outage.as_secs_f64() * f64::from(args.rate) * 2.0) as usize + SPARE_BODIES;
    for (index, peer) in (0..).zip(peers) {
        let mut conversation = Conversation::open(&alices, &home(peer).await?, index).await?;
        let track = Track::new(conversation.seal(bodies)?);
        let pair = Pair {
            conversation,
            track,
            every,
            // Spread over the period: the load is even.
            offset: every * index / args.peers,
            phase: phase.clone(),
            latencies: vec![Vec::new(); args.rounds as usize * 2],
        };
        let doomed = index + 1 == args.peers;
        tasks.spawn(pair.run(returns.take_if(|_| doomed)));
    }
    Ok(tasks)
}

/// Lets the pairs run for so long; the first that fails ends the run.
pub(super) async fn run_for(time: Duration, tasks: &mut Tasks) -> Result<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(ended) = tasks.join_next() => {
            ended??;
            Err(anyhow!("a pair ended before its time"))
        }
    }
}

impl Pair {
    /// `returns` is there for the pair whose receiver's relay dies and comes back.
    pub(super) async fn run(mut self, mut returns: Option<Returned>) -> Result<(Tally, Vec<Vec<Duration>>)> {
        let doomed = returns.is_some();
        let mut ticks = interval_at(Instant::now() + self.offset, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deaf = false;
        loop {
            let phase = self.phase.borrow_and_update().clone();
            if phase == Phase::Drain {
                let drained = timeout(DRAIN, self.drain()).await;
                if let Ok(drained) = drained {
                    drained?;
                }
                return Ok((self.track.finish(), self.latencies));
            }
            tokio::select! {
                biased;
                event = self.conversation.receiver.next(), if !deaf => match event {
                    Ok(event) => self.arrived(event, &phase, doomed).await?,
                    Err(_) if doomed => deaf = true,
                    Err(error) => return Err(error),
                },
                progress = self.conversation.sender.progress() => {
                    progress?;
                    self.conversation.sender.acknowledge().await?;
                }
                Some(home) = back(&mut returns) => {
                    self.conversation.reconnect(&home).await?;
                    deaf = false;
                }
                _ = ticks.tick(), if self.conversation.sender.has_credit() => {
                    let body = self.track.send(std::time::Instant::now());
                    self.conversation.sender.feed(body).await?;
                    self.conversation.sender.flush().await?;
                }
                changed = self.phase.changed() => changed.context("the run was given up")?,
            }
        }
    }

    async fn drain(&mut self) -> Result<()> {
        while self.track.outstanding() > 0 {
            let event = self.conversation.receiver.next().await?;
            self.arrived(event, &Phase::Drain, true).await?;
        }
        Ok(())
    }

    /// Takes what has come. What the doomed pair sees is no part of the measurement.
    async fn arrived(&mut self, event: Event, phase: &Phase, doomed: bool) -> Result<()> {
        let mut next = Some(Ok(event));
        while let Some(event) = next {
            if let Event::Message(message) = event? {
                let Ok(arrival) = self.track.arrive(&message.body, std::time::Instant::now()) else {
                    bail!("a message of {} bytes came that nobody sent", message.body.len());
                };
                if let (Some(latency), Phase::Measure(which), false) = (arrival, phase, doomed) {
                    self.latencies[*which].push(latency);
                }
            }
            next = self.conversation.receiver.waiting();
        }
        self.conversation.receiver.acknowledge().await
    }
}

/// Waits for the relay's return, where there is one to wait for.
async fn back(returns: &mut Option<Returned>) -> Option<Home> {
    match returns {
        Some(returns) => returns.recv().await,
        None => std::future::pending().await,
    }
}
