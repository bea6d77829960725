//! The last relay is down while messages are sent to it from others: how long after its return until all have arrived.
//!
//! Memory is told for both sides as growth to the peak: of the others from before the outage, of the one that returns from when it
//! serves again. With a bound on what is in memory it does not depend on how many messages wait.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{OTHER_SOCKETS, describe_messages, home, mib, settings};
use crate::args::{Args, Scenario};
use crate::conversation::{Conversation, Event};
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::{Tally, Track, rounded};

/// How long after the return messages may come, before they count as lost.
const PATIENCE: Duration = Duration::from_secs(120);
/// The relay that is down.
const DOMAIN_OF_THE_OTHER: &str = "z.localhost";

/// A conversation, and what became of its messages.
struct Talk {
    conversation: Conversation,
    track: Track,
}

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    let names: Vec<String> = (0..args.origins).map(|n| format!("o{n}.localhost")).collect();
    let domains: Vec<&str> = names.iter().map(String::as_str).chain([DOMAIN_OF_THE_OTHER]).collect();
    let mut network = Network::start(&domains, ground, OTHER_SOCKETS).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("origins".into(), json!(args.origins));
    settings.insert("messages_of_each".into(), json!(args.messages));
    settings.insert("down_s".into(), json!(args.down));
    describe_messages(&mut settings);
    let mut talks = talks(&network, args).await?;

    let origins_before = watch_origins(&network)?;
    other(&mut network)?.kill().await?;
    let killed = Instant::now();
    try_join_all(talks.iter_mut().map(|talk| talk.send(u64::from(args.messages)))).await?;
    settings.insert("accepted_in_s".into(), json!(rounded(killed.elapsed().as_secs_f64(), 3)));
    let return_at = killed + Duration::from_secs(args.down);
    try_join_all(talks.iter_mut().map(|talk| talk.wait(return_at))).await?;

    let started = Instant::now();
    other(&mut network)?.start().await?;
    let returned = Instant::now();
    let cpu = network.cpu_seconds()?;
    let empty = other(&mut network)?.resident_kib()?;
    let bobs = home(other(&mut network)?).await?;
    try_join_all(talks.iter_mut().map(|talk| talk.conversation.reconnect(&bobs))).await?;
    try_join_all(talks.iter_mut().map(|talk| talk.receive(returned + PATIENCE))).await?;
    let caught_up = returned.elapsed().as_secs_f64();
    let cpu = network.cpu_seconds()? - cpu;
    let since_start = caught_up + (returned - started).as_secs_f64();
    settings.insert("caught_up_since_start_s".into(), json!(rounded(since_start, 3)));
    settings.insert("start_s".into(), json!(rounded((returned - started).as_secs_f64(), 3)));
    settings.insert("rss_kib_of_the_returned_at_start".into(), json!(empty));
    let peaks: Vec<u64> = network.relays().iter().map(Relay::peak_kib).collect::<Result<_>>()?;
    let returned_peak = peaks.last().copied().unwrap_or_default();
    settings.insert("peak_rss_kib_of_the_returned".into(), json!(returned_peak));
    settings.insert("peak_rss_kib_of_all".into(), json!(peaks));
    let grown = peaks.iter().zip(&origins_before).map(|(peak, before)| peak.saturating_sub(*before)).max();
    settings.insert("peak_growth_mib_of_origins".into(), json!(mib(grown.unwrap_or_default())));
    settings
        .insert("peak_growth_mib_of_the_returned".into(), json!(mib(returned_peak.saturating_sub(empty))));
    let mut row = Row::new(Scenario::Outage, settings);
    let messages = f64::from(args.messages) * f64::from(args.origins);
    row.caught_up_s = rounded(caught_up, 3);
    row.delivered_per_s = rounded(messages / caught_up, 1);
    row.relay_cpu_s_per_1000 = rounded(cpu / messages * 1000.0, 5);
    let mut tally = Tally::default();
    for talk in talks {
        tally.add(talk.finish().await?);
    }
    Ok(row.with_tally(&tally))
}

/// One conversation from each of the others to the last relay.
async fn talks(network: &Network, args: &Args) -> Result<Vec<Talk>> {
    let (last, others) = network.relays().split_last().context("the scenario has relays")?;
    let bobs = home(last).await?;
    // All at once, so that none of them is silent while others prepare.
    try_join_all((0..).zip(others).map(async |(index, origin)| {
        let mut conversation = Conversation::open(&home(origin).await?, &bobs, index).await?;
        // One more than is measured: behind it, nothing that was sent before can come any more.
        let track = Track::new(conversation.seal(args.messages as usize + 1).await?);
        Ok(Talk { conversation, track })
    }))
    .await
}

/// What the relays that send hold now, KiB; their peaks are counted from here on.
fn watch_origins(network: &Network) -> Result<Vec<u64>> {
    let (_, origins) = network.relays().split_last().context("the scenario has relays")?;
    origins
        .iter()
        .map(|relay| {
            relay.forget_peak()?;
            relay.resident_kib()
        })
        .collect()
}

fn other(network: &mut Network) -> Result<&mut Relay> {
    network.relays_mut().last_mut().context("the scenario has relays")
}

impl Talk {
    /// Sends until so many were sent in all, and waits until all are durable at the sender's relay.
    async fn send(&mut self, until: u64) -> Result<()> {
        let (sender, track) = (&mut self.conversation.sender, &mut self.track);
        while track.sent() < until {
            while track.sent() < until && sender.has_credit() {
                sender.feed(track.send(std::time::Instant::now())).await?;
            }
            sender.flush().await?;
            if track.sent() < until {
                sender.progress().await?;
                sender.acknowledge().await?;
            }
        }
        sender.all_accepted().await
    }

    /// Waits until then, with an ear on the sender's socket: its relay gives up whoever does not answer pings.
    async fn wait(&mut self, until: Instant) -> Result<()> {
        while let Ok(progress) = timeout_at(until, self.conversation.sender.progress()).await {
            progress?;
            self.conversation.sender.acknowledge().await?;
        }
        Ok(())
    }

    /// Receives until all have arrived, or the time is over.
    async fn receive(&mut self, deadline: Instant) -> Result<()> {
        let Conversation { sender, receiver, .. } = &mut self.conversation;
        let track = &mut self.track;
        while track.outstanding() > 0 {
            let event = tokio::select! {
                biased;
                event = receiver.next() => event,
                progress = sender.progress() => {
                    progress?;
                    sender.acknowledge().await?;
                    continue;
                }
                () = sleep_until(deadline) => return Ok(()),
            };
            let mut next = Some(event);
            while let Some(event) = next {
                if let Event::Message(message) = event?
                    && track.arrive(&message.body, std::time::Instant::now()).is_err()
                {
                    bail!("a message of {} bytes came that nobody sent", message.body.len());
                }
                next = receiver.waiting();
            }
            receiver.acknowledge().await?;
        }
        Ok(())
    }

    /// Where all has come, sends one more: whatever comes twice comes before it.
    async fn finish(mut self) -> Result<Tally> {
        if self.track.outstanding() == 0 {
            let sent = self.track.sent() + 1;
            self.send(sent).await?;
            self.receive(Instant::now() + PATIENCE).await?;
        }
        Ok(self.track.finish())
    }
}
