//! A hostile relay floods one of two relays: latency between people of the two, without and with it, in turns.
//!
//! The load is paced as in [`dead_peer`](super::dead_peer). The flooder is a process of its own with a manifest of its own:
//! junk streams, hellos, garbage, oversized and forged envelopes at full speed. It shares the generator's core at the lowest
//! priority, so that it takes what the generator leaves, and does not make it late; both are told with their CPU time.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dead_peer::{Pair, Phase, SPARE_BODIES, Tasks, WARM_UP, median, run_for};
use super::{OTHER_SOCKETS, conversations, describe_messages, rounded, settings};
use crate::args::{Args, Scenario};
use crate::machine;
use crate::relay::{Ground, Network, Relay};
use crate::report::Row;
use crate::stats::{Tally, Track, percentile_ms};

/// How long the flooder may take to say what it did.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(args: &Args, ground: &Ground) -> Result<Row> {
    let network =
        Network::start(&["a.localhost", "b.localhost"], ground, args.pairs * 2 + OTHER_SOCKETS).await?;
    let mut settings = settings(&network, ground)?;
    settings.insert("pairs".into(), json!(args.pairs));
    settings.insert("rate_of_each".into(), json!(args.rate));
    settings.insert("seconds".into(), json!(args.seconds));
    describe_messages(&mut settings);
    let (phase, seen) = watch::channel(Phase::WarmUp);
    let mut tasks = start(&network, args, &seen).await?;
    let flooded = network.relays().last().context("the scenario has relays")?;
    let time = Duration::from_secs(args.seconds);
    run_for(WARM_UP, &mut tasks).await?;
    settings.insert("rss_kib_before".into(), json!(flooded.resident_kib()?));
    let (mut floods, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..args.rounds as usize {
        for (half, hostile) in [false, true].into_iter().enumerate() {
            let mut flooder = None;
            if hostile {
                // It floods from before the measurement until after it.
                flooder = Some(
                    Flooder::begin(&network, flooded, ground, args.seconds + 2 * WARM_UP.as_secs()).await?,
                );
            }
            run_for(WARM_UP, &mut tasks).await?;
            let before = cpu_seconds(&network, flooder.as_ref())?;
            phase.send_replace(Phase::Measure(round * 2 + half));
            run_for(time, &mut tasks).await?;
            phase.send_replace(Phase::WarmUp);
            let after = cpu_seconds(&network, flooder.as_ref())?;
            let share = |n: usize| rounded((after[n] - before[n]) / time.as_secs_f64(), 2);
            cpu.push(json!({ "relays": share(0), "generator": share(1), "flooder": share(2) }));
            if let Some(flooder) = flooder {
                floods.push(flooder.end().await?);
            }
        }
    }
    settings.insert("rss_kib_peak".into(), json!(flooded.peak_kib()?));
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
    settings.insert("p99_ms_in_peace".into(), json!(rounded(without, 3)));
    settings.insert("p99_ms_flooded".into(), json!(rounded(with, 3)));
    settings.insert("ratio".into(), json!(rounded(with / without, 3)));
    settings
        .insert("p99_ms_in_turns".into(), json!(p99.iter().map(|ms| rounded(*ms, 3)).collect::<Vec<_>>()));
    settings.insert("cores_used_in_turns".into(), Value::from(cpu));
    settings.insert("floods".into(), Value::from(floods));
    let mut row = Row::new(Scenario::Flood, settings);
    row.p99_ms = rounded(with, 3);
    Ok(row.with_tally(&tally))
}

async fn start(network: &Network, args: &Args, phase: &watch::Receiver<Phase>) -> Result<Tasks> {
    let mut tasks = JoinSet::new();
    let every = Duration::from_secs(1) / args.rate;
    let halves = args.rounds * 2;
    let longest = (Duration::from_secs(args.seconds) + WARM_UP * 2) * halves;
    // They are sent round and round: only what is under way at once must differ.
    let bodies = (longest.as_secs_f64().min(30.0) * f64::from(args.rate)) as usize + SPARE_BODIES;
    for (index, mut conversation) in (0..).zip(conversations(network, args.pairs).await?) {
        let track = Track::new(conversation.seal(bodies)?);
        let offset = every * index / args.pairs;
        let latencies = vec![Vec::new(); halves as usize];
        let pair = Pair { conversation, track, every, offset, phase: phase.clone(), latencies };
        tasks.spawn(pair.run(None));
    }
    Ok(tasks)
}

/// CPU seconds of the relays, of this process, and of the flooder.
fn cpu_seconds(network: &Network, flooder: Option<&Flooder>) -> Result<[f64; 3]> {
    let flooder = flooder.map_or(Ok(0.0), |flooder| machine::cpu_seconds(flooder.pid))?;
    Ok([network.cpu_seconds()?, machine::cpu_seconds(std::process::id())?, flooder])
}

/// The hostile relay's process.
struct Flooder {
    child: Child,
    pid: u32,
    // Held, because it takes the end of it for the word to begin.
    _input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Flooder {
    /// Starts it, makes its manifest known, and lets it loose.
    async fn begin(network: &Network, on: &Relay, ground: &Ground, seconds: u64) -> Result<Self> {
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
        command.args(["--flood-at", &on.url(), "--seconds", &seconds.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the flooder")?;
        let pid = child.id().context("the flooder ended as soon as it had started")?;
        let mut input = child.stdin.take().context("the flooder has no input")?;
        let output = child.stdout.take().context("the flooder has no output")?;
        let mut output = BufReader::new(output).lines();
        let entry = output.next_line().await?.context("the flooder ended")?;
        let mut overrides = OpenOptions::new().append(true).open(network.folder().join("overrides.toml"))?;
        writeln!(overrides, "{entry}")?;
        input.write_all(b"begin\n").await?;
        Ok(Self { child, pid, _input: input, output })
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
