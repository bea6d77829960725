//! The `posthouse` program: an account on the command line.
//!
//! A command opens the vault, or hands its request to the running `listen` that owns it ([`place`]); either way the same
//! code does the work ([`cmd`]) and says the same lines ([`mod@line`]), which are shown as text or JSON ([`output`]), or
//! answered to another program ([`rpc`]).

mod anew;
mod args;
mod backups;
mod cmd;
mod daemon;
mod desk;
mod failure;
mod input;
mod line;
mod output;
mod place;
mod rank;
mod render;
mod render_room;
mod request;
mod room_args;
mod room_request;
mod rpc;
mod run;
mod socket;
mod style;
mod unlock;
mod which;

use std::process::ExitCode;

use clap::Parser as _;

use failure::{Exit, Failure};
use output::Output;

/// Says what is logged to standard error; nothing by default.
const LOG_VARIABLE: &str = "POSTHOUSE_LOG";

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::OFF.into())
        .with_env_var(LOG_VARIABLE)
        .from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Nobody who reads answers of `rpc` waits for the last line of other commands.
    let json = cli.global.json && !matches!(cli.command, args::Command::Rpc);
    let mut output = Output::new(json, cli.global.color);
    let done = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let done = runtime.block_on(Box::pin(run::run(&cli, &mut output)));
            // Somebody may still sit before standard input, which cannot be waited for.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::new(Exit::Other, "runtime", format!("cannot start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_pipe_closed() => ExitCode::SUCCESS,
        Err(failure) => {
            output.fail(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}
