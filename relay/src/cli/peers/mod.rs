//! `posthouse-relay peers`: other relays, the rules on them, and what is wrong with the way to one.
//!
//! A relay that runs is asked at its control socket. Where none runs, the store is opened instead, which keeps a relay
//! from starting meanwhile: whatever the store knows can be read and changed either way.

mod offline;
mod show;
mod table;
pub(super) mod when;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use posthouse_spec::Domain;
use reqwest::Method;
use serde::Serialize;

use super::options::Options;
use super::terminal::{now, say};
use crate::config::Settings;
use crate::control::{ControlError, NewRule, Running};
use crate::peers::facts::{Changed, Detail, Pardoned, Summary};
use offline::Offline;

#[derive(Debug, Subcommand)]
pub(super) enum PeersCommand {
    /// List the other relays: connected or not, what waits for each and for how long, the last error.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show everything known of one relay.
    Show {
        #[command(flatten)]
        about: About,
    },
    /// Federate with a relay whatever the configuration's policy says; in force at once.
    Allow {
        #[command(flatten)]
        about: About,
    },
    /// Do not federate with a relay whatever the policy says; in force at once, and what waits for it stays.
    Deny {
        #[command(flatten)]
        about: About,
    },
    /// Remove the rule on a relay, so that the configuration's policy holds for it again.
    Forget {
        #[command(flatten)]
        about: About,
    },
    /// Begin anew with a relay: fetch its manifest and pin it in place of the one known before. Ask its operator first.
    Repin {
        #[command(flatten)]
        about: About,
    },
    /// Forgive a relay the rules that it has broken: it is neither slowed nor cut off any more.
    Pardon {
        #[command(flatten)]
        about: About,
    },
    /// Find out why a relay cannot be reached, and what to do; exit 1 if anything is wrong.
    Doctor {
        #[command(flatten)]
        about: About,
    },
}

/// What each of these commands may be told.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    options: Options,
    /// Print JSON instead of text for people.
    #[arg(long)]
    json: bool,
}

/// A command about one relay.
#[derive(Debug, Args)]
pub(super) struct About {
    /// The other relay's domain.
    #[arg(value_name = "DOMAIN")]
    other: Domain,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(super) async fn run(command: PeersCommand) -> anyhow::Result<ExitCode> {
    match command {
        PeersCommand::List { common } => list(&common).await,
        PeersCommand::Show { about } => show(&about).await,
        PeersCommand::Allow { about } => rule(&about, Some("allow")).await,
        PeersCommand::Deny { about } => rule(&about, Some("deny")).await,
        PeersCommand::Forget { about } => rule(&about, None).await,
        PeersCommand::Repin { about } => repin(&about).await,
        PeersCommand::Pardon { about } => pardon(&about).await,
        PeersCommand::Doctor { about } => doctor(&about).await,
    }
}

impl Common {
    fn settings(&self) -> anyhow::Result<Settings> {
        Ok(self.options.config()?.settings()?)
    }

    /// Prints an answer: as it is, or in words.
    fn print<T: Serialize>(&self, answer: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<ExitCode> {
        let text = if self.json { serde_json::to_string(answer)? } else { words(answer) };
        say(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl About {
    fn path(&self, rest: &str) -> String {
        format!("/peers/{}{rest}", self.other)
    }
}

async fn list(common: &Common) -> anyhow::Result<ExitCode> {
    let settings = common.settings()?;
    let all: Vec<Summary> = match Running::if_any(&settings.data).await? {
        Some(relay) => relay.get("/peers").await?,
        None => Offline::open(&settings).await?.with(async |desk| desk.list().await).await?,
    };
    common.print(&all, |all| table::list(all, now()))
}

async fn show(about: &About) -> anyhow::Result<ExitCode> {
    let settings = about.common.settings()?;
    let detail: Detail = match Running::if_any(&settings.data).await? {
        Some(relay) => relay.get(&about.path("")).await?,
        None => {
            let found = Offline::open(&settings).await?.with(async |desk| desk.show(&about.other).await);
            found.await?.ok_or_else(|| anyhow::anyhow!(crate::control::unknown(&about.other)))?
        }
    };
    about.common.print(&detail, |detail| show::detail(detail, now()))
}

async fn rule(about: &About, rule: Option<&str>) -> anyhow::Result<ExitCode> {
    let settings = about.common.settings()?;
    let path = about.path("/rule");
    let changed: Changed = match (Running::if_any(&settings.data).await?, rule) {
        (Some(relay), Some(rule)) => {
            relay.call(Method::PUT, &path, &NewRule { rule: rule.to_owned() }).await?
        }
        (Some(relay), None) => relay.call(Method::DELETE, &path, &()).await?,
        (None, rule) => Offline::open(&settings).await?.rule(&about.other, rule, now()).await?,
    };
    about.common.print(&changed, show::changed)
}

async fn repin(about: &About) -> anyhow::Result<ExitCode> {
    let settings = about.common.settings()?;
    let relay = Running::on(&settings.data).await?;
    let detail: Detail = relay.call(Method::POST, &about.path("/pin"), &()).await?;
    about
        .common
        .print(&detail, |detail| format!("{} is pinned anew\n{}", about.other, show::detail(detail, now())))
}

async fn pardon(about: &About) -> anyhow::Result<ExitCode> {
    let settings = about.common.settings()?;
    let relay = Running::on(&settings.data).await?;
    let pardoned: Pardoned = relay.call(Method::POST, &about.path("/pardon"), &()).await?;
    about.common.print(&pardoned, show::pardoned)
}

async fn doctor(about: &About) -> anyhow::Result<ExitCode> {
    let settings = about.common.settings()?;
    let report = match Running::on(&settings.data).await {
        Ok(relay) => relay.call(Method::POST, &about.path("/doctor"), &()).await?,
        Err(ControlError::NotRunning(_)) => crate::doctor::outside(&settings, &about.other, now()).await,
        Err(error) => return Err(error.into()),
    };
    about.common.print(&report, crate::doctor::Report::to_string)?;
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
