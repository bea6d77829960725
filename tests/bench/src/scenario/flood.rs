//! One relay floods another: latency between people of two honest ones, without and with it, in turns.
//!
//! The flooder is a process of its own with a manifest of its own, and sends junk or valid load at full speed. It is measured from
//! the first moment, when the relay knows nothing against it yet. After each flood it is told how the relay treats it: a
//! relay that was cut off stays so for longer than a turn, and points do not fade within one, so that one that is treated
//! as normal then was all the time. The flooder shares the generator's core at the lowest priority, so that it takes what the
//! generator leaves, and does not make it late; both are told with their CPU time.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{OTHER_SOCKETS, conversations, describe_messages, mib, settings};
use crate::args::{Args, Scenario};
use crate::machine;
use crate::paced::{Paced, WARM_UP};
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::rounded;

/// How long the flooder may take to say what it did.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time for which messages of one sender have to differ: far above any latency.
const DIFFER: Duration = Duration::from_secs(30);

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    let network =
        Network::start(&["a.localhost", "b.localhost"], ground, args.pairs * 2 + OTHER_SOCKETS).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("pairs".into(), json!(args.pairs));
    settings.insert("deluge".into(), json!(args.deluge.name()));
    settings.insert("rate_of_each".into(), json!(args.rate));
    settings.insert("seconds".into(), json!(args.seconds));
    describe_messages(&mut settings);
    let mut load = Paced::new(args.rate, args.rounds);
    for (index, conversation) in (0..).zip(conversations(&network, args.pairs).await?) {
        load.add(conversation, (index, args.pairs), DIFFER).await?;
    }
    let flooded = network.relays().last().context("the scenario has relays")?;
    load.run_for(WARM_UP).await?;
    flooded.forget_peak()?;
    let before = flooded.resident_kib()?;
    let (mut floods, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..args.rounds as usize {
        load.run_for(WARM_UP).await?;
        cpu.push(turn(&network, args, &mut load, round * 2, None).await?);
        let mut flooder = Flooder::prepare(&network, flooded, args, ground).await?;
        load.run_for(WARM_UP).await?;
        cpu.push(turn(&network, args, &mut load, round * 2 + 1, Some(&mut flooder)).await?);
        let conduct = flooded.conduct_of(&flooder.domain).await?;
        let mut did = flooder.end().await?;
        did["conduct"] = conduct;
        floods.push(did);
    }
    let peak = flooded.peak_kib()?;
    settings.insert("rss_kib_before".into(), json!(before));
    settings.insert("rss_kib_peak".into(), json!(peak));
    settings.insert("peak_growth_mib".into(), json!(mib(peak.saturating_sub(before))));
    let found = load.finish().await?;
    found.describe(&mut settings, "p99_ms_in_peace", "p99_ms_flooded");
    settings.insert("cores_used_in_turns".into(), Value::from(cpu));
    settings.insert("rules_broken".into(), json!(floods.iter().map(rules_broken).sum::<u64>()));
    let least = floods.iter().map(things_sent).min().unwrap_or_default();
    settings.insert("flooded_per_s".into(), json!(rounded(least as f64 / flood_seconds(args) as f64, 1)));
    settings.insert("floods".into(), Value::from(floods));
    let mut row = Row::new(Scenario::Flood, settings);
    row.p99_ms = rounded(found.with_ms(), 3);
    Ok(row.with_tally(&found.tally))
}

/// Measures one turn, flooded or not; says what everybody used of the cores.
async fn turn(
    network: &Network,
    args: &Args,
    load: &mut Paced,
    turn: usize,
    mut flooder: Option<&mut Flooder>,
) -> Result<Value> {
    let time = Duration::from_secs(args.seconds);
    let before = cpu_seconds(network, flooder.as_deref())?;
    load.measure(turn);
    if let Some(flooder) = &mut flooder {
        flooder.begin().await?;
    }
    load.run_for(time).await?;
    load.pause();
    let after = cpu_seconds(network, flooder.as_deref())?;
    let share = |n: usize| rounded((after[n] - before[n]) / time.as_secs_f64(), 2);
    Ok(json!({ "relays": share(0), "generator": share(1), "flooder": share(2) }))
}

/// How long a flood goes on: until after its turn.
fn flood_seconds(args: &Args) -> u64 {
    args.seconds + WARM_UP.as_secs()
}

/// How many things a flooder sent: a flood that never came proves nothing.
fn things_sent(flood: &Value) -> u64 {
    let tried = flood["tried"].as_object();
    tried.into_iter().flatten().filter_map(|(_, times)| times.as_u64()).sum()
}

/// How often a flooder broke a rule, as the flooded relay counted.
fn rules_broken(flood: &Value) -> u64 {
    let broken = flood["conduct"]["broken"].as_array();
    broken.into_iter().flatten().filter_map(|broken| broken["times"].as_u64()).sum()
}

/// CPU seconds of the relays, of this process, and of the flooder.
fn cpu_seconds(network: &Network, flooder: Option<&Flooder>) -> Result<[f64; 3]> {
    let flooder = flooder.map_or(Ok(0.0), |flooder| machine::cpu_seconds(flooder.pid))?;
    Ok([network.cpu_seconds()?, machine::cpu_seconds(std::process::id())?, flooder])
}

/// The flooder's process.
struct Flooder {
    domain: String,
    child: Child,
    pid: u32,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Flooder {
    /// Starts it and makes its manifest known.
    async fn prepare(network: &Network, on: &Relay, args: &Args, ground: &Ground) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = if ground.pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", machine::GENERATOR_CORE, "nice", "-n", "19"]).arg(program);
            command
        } else {
            let mut command = Command::new("nice");
            command.args(["-n", "19"]).arg(program);
            command
        };
        command.args(["--flood-at", &on.url(), "--deluge", args.deluge.name()]);
        command.args(["--seconds", &flood_seconds(args).to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the flooder")?;
        let pid = child.id().context("the flooder ended as soon as it had started")?;
        let input = child.stdin.take().context("the flooder has no input")?;
        let output = child.stdout.take().context("the flooder has no output")?;
        let mut output = BufReader::new(output).lines();
        let entry = output.next_line().await?.context("the flooder ended")?;
        let domain = entry.split('"').nth(1).context("the flooder did not say its name")?.to_owned();
        let mut overrides = OpenOptions::new().append(true).open(network.folder().join("overrides.toml"))?;
        writeln!(overrides, "{entry}")?;
        Ok(Self { domain, child, pid, input, output })
    }

    /// Lets it loose.
    async fn begin(&mut self) -> Result<()> {
        self.input.write_all(b"begin\n").await.context("the flooder ended before it began")
    }

    /// What it did.
    async fn end(mut self) -> Result<Value> {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line())
            .await
            .context("the flooder goes on")??;
        self.child.wait().await?;
        Ok(serde_json::from_str(&line.context("the flooder said nothing of what it did")?)?)
    }
}
