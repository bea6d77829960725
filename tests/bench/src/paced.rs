//! A paced load: every sender sends at a steady rate whatever comes back, so that a relay that is held up shows it as latency.
//!
//! It is measured in turns, without and with what is wrong, so that the machine's moods fall on both. A message counts for the
//! turn in which it was sent, however late it arrives.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::client::Home;
use crate::conversation::{Conversation, Event};
use crate::stats::{Tally, Track, percentile_ms, rounded};

/// How long the load runs before it is measured without what is wrong.
pub(crate) const WARM_UP: Duration = Duration::from_secs(2);
/// How long what is still under way may take at the end, before it counts as lost.
const DRAIN: Duration = Duration::from_secs(60);
/// Sealed bodies of each sender beside those of the time for which they must differ: they are sent round and round.
const SPARE_BODIES: usize = 256;
/// Messages of a pair that are under way while nothing is wrong with its relays.
const USUALLY_UNDER_WAY: u64 = 2;

/// What the pairs are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Send; latencies do not count.
    Unmeasured,
    /// Send; latencies count for this turn.
    Turn(usize),
    /// Send no more, and end when all has come.
    Drain,
}

/// Pairs of people at work.
pub(crate) struct Paced {
    tasks: JoinSet<Result<(Tally, Vec<Vec<Duration>>)>>,
    phase: watch::Sender<Phase>,
    every: Duration,
    turns: usize,
}

/// The pair whose receiver's relay dies and comes back, as the scenario sees it.
pub(crate) struct Doomed {
    returned: mpsc::Sender<Home>,
    under_way: watch::Receiver<u64>,
}

/// The same, as the pair sees it.
struct Doom {
    returned: mpsc::Receiver<Home>,
    under_way: watch::Sender<u64>,
}

/// What a paced load found.
pub(crate) struct Found {
    /// What became of all messages.
    pub(crate) tally: Tally,
    /// The latency that 99 of 100 keep within, milliseconds, by turns: without what is wrong, with it, and so on.
    p99_ms: Vec<f64>,
}

impl Paced {
    /// No pairs yet; each will send so many messages a second, and be measured twice a round.
    pub(crate) fn new(rate: u32, rounds: u32) -> Self {
        Self {
            tasks: JoinSet::new(),
            phase: watch::Sender::new(Phase::Unmeasured),
            every: Duration::from_secs(1) / rate,
            turns: rounds as usize * 2,
        }
    }

    /// Puts a pair to work, which is the `index`th of `count`. Its messages differ for as long as `differ`.
    pub(crate) async fn add(
        &mut self,
        conversation: Conversation,
        (index, count): (u32, u32),
        differ: Duration,
    ) -> Result<()> {
        let pair = self.pair(conversation, (index, count), differ).await?;
        self.tasks.spawn(pair.run(None));
        Ok(())
    }

    /// Puts the pair to work whose receiver's relay is going to die. Its latencies are no part of what is measured.
    pub(crate) async fn add_doomed(
        &mut self,
        conversation: Conversation,
        (index, count): (u32, u32),
        differ: Duration,
    ) -> Result<Doomed> {
        let pair = self.pair(conversation, (index, count), differ).await?;
        let (returned, returns) = mpsc::channel(1);
        let (under_way, seen) = watch::channel(0);
        self.tasks.spawn(pair.run(Some(Doom { returned: returns, under_way })));
        Ok(Doomed { returned, under_way: seen })
    }

    /// Lets the load run for so long; the first pair that fails ends the run.
    pub(crate) async fn run_for(&mut self, time: Duration) -> Result<()> {
        tokio::select! {
            () = sleep(time) => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                ended??;
                Err(anyhow!("a pair ended before its time"))
            }
        }
    }

    /// What is sent from here on counts for this turn.
    pub(crate) fn measure(&self, turn: usize) {
        self.phase.send_replace(Phase::Turn(turn));
    }

    /// What is sent from here on does not count.
    pub(crate) fn pause(&self) {
        self.phase.send_replace(Phase::Unmeasured);
    }

    /// Sends no more, waits until all has come, and says what was found.
    pub(crate) async fn finish(mut self) -> Result<Found> {
        self.phase.send_replace(Phase::Drain);
        let mut measured = vec![Vec::new(); self.turns];
        let mut tally = Tally::default();
        while let Some(ended) = self.tasks.join_next().await {
            let (pair, latencies) = ended??;
            tally.add(pair);
            for (all, some) in measured.iter_mut().zip(latencies) {
                all.extend(some);
            }
        }
        let p99_ms =
            measured.iter_mut().map(|latencies| percentile_ms(latencies, 99).unwrap_or(f64::NAN)).collect();
        Ok(Found { tally, p99_ms })
    }

    async fn pair(
        &self,
        mut conversation: Conversation,
        (index, count): (u32, u32),
        differ: Duration,
    ) -> Result<Pair> {
        let bodies = differ.div_duration_f64(self.every) as usize + SPARE_BODIES;
        Ok(Pair {
            track: Track::new(conversation.seal(bodies).await?),
            conversation,
            every: self.every,
            // Spread over the period: the load is even.
            offset: self.every * index / count,
            phase: self.phase.subscribe(),
            marks: Vec::new(),
            latencies: vec![Vec::new(); self.turns],
        })
    }
}

impl Doomed {
    /// Its relay is back, reached by this: waits until no more of its messages are under way than usual.
    pub(crate) async fn returned(&mut self, home: Home) -> Result<()> {
        self.returned.send(home).await.map_err(|_| anyhow!("the doomed pair ended"))?;
        let caught_up = self.under_way.wait_for(|under_way| *under_way <= USUALLY_UNDER_WAY);
        let waited = timeout(DRAIN, caught_up).await;
        waited.with_context(|| {
            format!("what waited for the relay that was dead did not arrive within {} s", DRAIN.as_secs())
        })??;
        Ok(())
    }
}

impl Found {
    /// The median of the turns without what is wrong, milliseconds.
    pub(crate) fn without_ms(&self) -> f64 {
        median(self.p99_ms.iter().step_by(2))
    }

    /// The median of the turns with it, milliseconds.
    pub(crate) fn with_ms(&self) -> f64 {
        median(self.p99_ms.iter().skip(1).step_by(2))
    }

    /// Tells it, the two medians under the names that they have in this scenario.
    pub(crate) fn describe(&self, settings: &mut Map<String, Value>, without: &str, with: &str) {
        settings.insert(without.to_owned(), json!(rounded(self.without_ms(), 3)));
        settings.insert(with.to_owned(), json!(rounded(self.with_ms(), 3)));
        settings.insert("ratio".into(), json!(rounded(self.with_ms() / self.without_ms(), 3)));
        let turns: Vec<_> = self.p99_ms.iter().map(|ms| rounded(*ms, 3)).collect();
        settings.insert("p99_ms_in_turns".into(), json!(turns));
    }
}

fn median<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    let mut values: Vec<f64> = values.copied().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One sender and one receiver.
struct Pair {
    conversation: Conversation,
    track: Track,
    every: Duration,
    offset: Duration,
    phase: watch::Receiver<Phase>,
    /// When each phase began, as far as this pair is concerned.
    marks: Vec<(std::time::Instant, Phase)>,
    /// Latencies by turn.
    latencies: Vec<Vec<Duration>>,
}

impl Pair {
    /// `doom` is there for the pair whose receiver's relay dies and comes back.
    async fn run(mut self, mut doom: Option<Doom>) -> Result<(Tally, Vec<Vec<Duration>>)> {
        let mut ticks = interval_at(Instant::now() + self.offset, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deaf = false;
        loop {
            if self.enter_phase() == Phase::Drain {
                let drained = timeout(DRAIN, self.drain(doom.as_ref())).await;
                if let Ok(drained) = drained {
                    drained?;
                }
                return Ok((self.track.finish(), self.latencies));
            }
            tokio::select! {
                biased;
                event = self.conversation.receiver.next(), if !deaf => match event {
                    Ok(event) => self.arrived(event, doom.as_ref()).await?,
                    Err(_) if doom.is_some() => deaf = true,
                    Err(error) => return Err(error),
                },
                progress = self.conversation.sender.progress() => {
                    progress?;
                    self.conversation.sender.acknowledge().await?;
                }
                Some(home) = back(&mut doom) => {
                    self.conversation.reconnect(&home).await?;
                    deaf = false;
                }
                _ = ticks.tick(), if self.conversation.sender.has_credit() => {
                    let body = self.track.send(std::time::Instant::now());
                    self.conversation.sender.feed(body).await?;
                    self.conversation.sender.flush().await?;
                    self.tell_under_way(doom.as_ref());
                }
                changed = self.phase.changed() => changed.context("the run was given up")?,
            }
        }
    }

    fn enter_phase(&mut self) -> Phase {
        let phase = *self.phase.borrow_and_update();
        if self.marks.last().is_none_or(|(_, last)| *last != phase) {
            self.marks.push((std::time::Instant::now(), phase));
        }
        phase
    }

    async fn drain(&mut self, doom: Option<&Doom>) -> Result<()> {
        while self.track.outstanding() > 0 {
            let event = self.conversation.receiver.next().await?;
            self.arrived(event, doom).await?;
        }
        Ok(())
    }

    /// Takes what has come. What the doomed pair sees is no part of the measurement.
    async fn arrived(&mut self, event: Event, doom: Option<&Doom>) -> Result<()> {
        let mut next = Some(Ok(event));
        while let Some(event) = next {
            if let Event::Message(message) = event? {
                let now = std::time::Instant::now();
                let Ok(arrival) = self.track.arrive(&message.body, now) else {
                    bail!("a message of {} bytes came that nobody sent", message.body.len());
                };
                if let (Some(latency), None) = (arrival, doom) {
                    self.note(latency, now);
                }
            }
            next = self.conversation.receiver.waiting();
        }
        self.tell_under_way(doom);
        self.conversation.receiver.acknowledge().await
    }

    /// Notes a latency for the turn in which the message was sent.
    fn note(&mut self, latency: Duration, now: std::time::Instant) {
        let Some(sent) = now.checked_sub(latency) else { return };
        let phase = self.marks.iter().rev().find(|(began, _)| *began <= sent);
        if let Some((_, Phase::Turn(turn))) = phase {
            self.latencies[*turn].push(latency);
        }
    }

    fn tell_under_way(&self, doom: Option<&Doom>) {
        if let Some(doom) = doom {
            doom.under_way.send_replace(self.track.outstanding());
        }
    }
}

/// Waits for the relay's return, where there is one to wait for.
async fn back(doom: &mut Option<Doom>) -> Option<Home> {
    match doom {
        Some(doom) => doom.returned.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_told_apart_and_the_medians_compared() {
        let found = Found { tally: Tally::default(), p99_ms: vec![2.0, 3.0, 1.0, 9.0, 4.0, 1.0] };
        assert_eq!((found.without_ms(), found.with_ms()), (2.0, 3.0));
        let mut settings = Map::new();
        found.describe(&mut settings, "peace", "war");
        assert_eq!(settings["ratio"], json!(1.5));
        assert_eq!(settings["war"], json!(3.0));
    }

    #[test]
    fn a_turn_in_which_nothing_arrived_is_no_figure() {
        let found = Found { tally: Tally::default(), p99_ms: vec![2.0, f64::NAN] };
        let mut settings = Map::new();
        found.describe(&mut settings, "peace", "war");
        assert_eq!(settings["ratio"], Value::Null);
    }
}
