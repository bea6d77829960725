//! The other relay is down while messages are sent to it: how long after its return until all have arrived.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{OTHER_SOCKETS, conversations, describe_messages, home, rounded, settings};
use crate::args::{Args, Scenario};
use crate::conversation::{Conversation, Event};
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::Track;

/// How long after the return messages may come, before they count as lost.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    let mut network = Network::start(&["a.localhost", "b.localhost"], ground, OTHER_SOCKETS).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("messages".into(), json!(args.messages));
    settings.insert("down_s".into(), json!(args.down));
    describe_messages(&mut settings);
    let mut conversation =
        conversations(&network, 1).await?.pop().context("the scenario has a conversation")?;
    // One more than is measured: behind it, nothing that was sent before can come any more.
    let mut track = Track::new(conversation.seal(args.messages as usize + 1)?);

    other(&mut network)?.kill().await?;
    let killed = Instant::now();
    send(&mut conversation, &mut track, u64::from(args.messages)).await?;
    settings.insert("accepted_in_s".into(), json!(rounded(killed.elapsed().as_secs_f64(), 3)));
    sleep_until(killed + Duration::from_secs(args.down)).await;

    let started = Instant::now();
    other(&mut network)?.start().await?;
    let returned = Instant::now();
    let cpu = network.cpu_seconds()?;
    let bobs = home(other(&mut network)?).await?;
    conversation.reconnect(&bobs).await?;
    receive(&mut conversation, &mut track, returned + PATIENCE).await?;
    let caught_up = returned.elapsed().as_secs_f64();
    let cpu = network.cpu_seconds()? - cpu;
    if track.outstanding() == 0 {
        let sent = track.sent() + 1;
        send(&mut conversation, &mut track, sent).await?;
        receive(&mut conversation, &mut track, Instant::now() + PATIENCE).await?;
    }
    settings.insert("start_s".into(), json!(rounded((returned - started).as_secs_f64(), 3)));
    let mut row = Row::new(Scenario::Outage, settings);
    let messages = f64::from(args.messages);
    row.caught_up_s = rounded(caught_up, 3);
    row.delivered_per_s = rounded(messages / caught_up, 1);
    row.relay_cpu_s_per_1000 = rounded(cpu / messages * 1000.0, 5);
    Ok(row.with_tally(&track.finish()))
}

fn other(network: &mut Network) -> Result<&mut Relay> {
    network.relays_mut().last_mut().context("the scenario has two relays")
}

/// Sends until so many were sent in all, and waits until all are durable at the sender's relay.
async fn send(conversation: &mut Conversation, track: &mut Track, until: u64) -> Result<()> {
    let sender = &mut conversation.sender;
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

/// Receives until all have arrived, or the time is over.
async fn receive(conversation: &mut Conversation, track: &mut Track, deadline: Instant) -> Result<()> {
    let receiver = &mut conversation.receiver;
    while track.outstanding() > 0 {
        let Ok(event) = timeout_at(deadline, receiver.next()).await else { return Ok(()) };
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
