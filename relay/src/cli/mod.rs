//! The command line: `serve`, `init`, `check`, `invite`, `keys` and `peers`.

mod invite;
mod keys;
mod options;
mod peers;
mod reach;
mod reload;
mod serve;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Problems};
use crate::keys::Keys;
use crate::logging;
use options::Options;
use reload::Reloading;
use terminal::{now, say};

pub use terminal::failed;

/// A Posthouse relay: mailboxes and rooms of one domain, and its side towards other relays.
#[derive(Debug, Parser)]
#[command(name = "posthouse-relay", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients and other relays, until SIGTERM or SIGINT.
    Serve {
        #[command(flatten)]
        options: Options,
        /// Write where the relay serves to this file, as JSON, once everything listens.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
        /// Begin with an empty store where the old one is lost for good: nobody is registered in it.
        #[arg(long)]
        new_store: bool,
    },
    /// Write a commented configuration and make the relay's keys; overwrite nothing.
    Init {
        #[command(flatten)]
        options: Options,
    },
    /// Say in words everything that is wrong with the configuration; exit 1 if anything is.
    Check {
        #[command(flatten)]
        options: Options,
    },
    /// Print an invite token, for relays with registration = "invite". The relay may run or not.
    Invite {
        #[command(flatten)]
        options: Options,
        /// How many accounts may be registered with it.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// In how many days it expires.
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_days: u32,
    },
    /// The relay's own keys: list them, or replace one.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Other relays: list them, allow or deny one, find out what is wrong with the way to one.
    #[command(subcommand)]
    Peers(peers::PeersCommand),
    /// Say how this relay, which must run, can be reached: what other relays have tried, and the circuits.
    Reach {
        #[command(flatten)]
        options: Options,
        /// Print JSON instead of text for people.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// What went wrong, in words.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Serve { options, ready_file, new_store } => {
            let config = options.config()?;
            let settings = config.settings()?;
            logging::start(settings.log_format, &settings.log_level);
            let reloading = Reloading::new(options, config);
            serve::serve(settings, reloading, ready_file.as_deref(), new_store).await
        }
        Command::Init { options } => init(&options),
        Command::Check { options } => check(&options).await,
        Command::Invite { options, uses, expires_days } => {
            let settings = options.config()?.settings()?;
            say(&invite::invite(&settings, uses, expires_days, now()).await?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Keys(command) => keys::run(command).await,
        Command::Peers(command) => peers::run(command).await,
        Command::Reach { options, json } => reach::reach(&options, json).await,
    }
}

fn init(options: &Options) -> anyhow::Result<ExitCode> {
    let path = options.config.clone().unwrap_or_else(|| "relay.toml".into());
    let config = options.load(None)?;
    config.settings()?;
    config::init(&path, &config)?;
    Keys::open(&config.data, now(), &mut rand::rng())?;
    say(&format!(
        "wrote {} and keys in {}\nnext: edit it, then `posthouse-relay check --config {0}` and `posthouse-relay serve --config {0}`",
        path.display(),
        config.data.display(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn check(options: &Options) -> anyhow::Result<ExitCode> {
    let found = match options.config() {
        Ok(config) => config::check::check(&config, now()).await,
        Err(problems) => Err(problems),
    };
    match found {
        Ok(summary) => {
            say(&summary)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Problems(problems)) => {
            for problem in &problems {
                say(&format!("{problem}"))?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
