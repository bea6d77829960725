//! Puts load on real relay processes over their real protocol, and prints what it costs.
//!
//! The relays are built as they ship and run in processes of their own, on a core of their own where the machine has
//! two. The generator speaks the client protocol with real keys and really sealed messages, which are made before the
//! clock starts. A message's latency runs from just before it is written until its push has been decoded at the
//! receiver. A relay's CPU time and memory are those of its process, from `/proc`.
//!
//! A run fails with exit code 1 where a message was lost, came twice or came out of order, and where a figure does not keep
//! a bound that `--require` set on it; with 2 where it could not be measured.

mod args;
mod client;
mod conversation;
mod flooder;
mod load;
mod machine;
mod paced;
mod relay;
mod report;
mod require;
mod scenario;
mod stats;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use posthouse_tests::Ship;

use crate::args::Args;
use crate::relay::Ground;

/// What a run found, as the exit code says it.
enum Verdict {
    /// Every message came once and in order.
    Sound,
    /// One did not.
    Broken,
    /// They did, but a figure does not keep its bound.
    TooBad,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Broken) => {
            tell("error: a message was lost, came twice or came out of order; the rows above say which run");
            ExitCode::FAILURE
        }
        Ok(Verdict::TooBad) => {
            tell(
                "error: what was required was not met; the lines under the table, or `required` in the JSON, say what",
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Tells what is going on, beside what is measured.
fn tell(line: &str) {
    // Where nobody listens, there is nobody to be told.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn run(args: &Args) -> Result<Verdict> {
    if let Some(relay) = &args.flood_at {
        flooder::run(relay, args.deluge, args.seconds)?;
        return Ok(Verdict::Sound);
    }
    args.check_requirements()?;
    if !std::path::Path::new("/proc/self/stat").exists() {
        bail!("CPU time and memory are read from /proc, and there is none: run this on Linux");
    }
    let program = match &args.relay {
        Some(program) => {
            program.canonicalize().with_context(|| format!("there is no relay {}", program.display()))?
        }
        None => {
            tell("building the relay as it ships, unless that was done");
            Ship::build_relay()?
        }
    };
    // After the build, which may use all cores, and before the runtime: its threads inherit the core.
    let ground = Ground { program, pinned: machine::pin_generator() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        tokio::select! {
            verdict = run_all(args, &ground) => verdict,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })
}

async fn run_all(args: &Args, ground: &Ground) -> Result<Verdict> {
    let mut rows = Vec::new();
    for scenario in args.scenarios() {
        tell(&format!("running {}", scenario.name()));
        let mut row = scenario::run(*scenario, args, ground).await?;
        row.judge(args.required_of(*scenario))?;
        if args.json {
            report::json(&row, &mut io::stdout().lock())?;
        }
        rows.push(row);
    }
    if !args.json {
        report::table(&rows, &mut io::stdout().lock())?;
    }
    Ok(if rows.iter().any(report::Row::is_broken) {
        Verdict::Broken
    } else if rows.iter().all(report::Row::keeps_requirements) {
        Verdict::Sound
    } else {
        Verdict::TooBad
    })
}
