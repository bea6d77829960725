//! `cargo demo`: the story of the first letter and of a group, played by three real relays and the real client on this machine.
//!
//! It starts the relays as processes in a temporary folder, lets Alice and Bob meet, write, lose their relays and find
//! them again, gathers them and Carol in a group, and at the end reads every file of all relays to show that nothing of what they wrote is there. It ends
//! with exit code 0 only if everything came out as told.

mod group;
mod story;
mod teller;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use posthouse_tests::{Network, Person, Ship, tail};

use story::Story;
use teller::Teller;

/// The story of the first letter, played by real relays and the real client.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", version)]
struct Cli {
    /// Leaves the relays up afterwards, and prints commands for two terminals, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut teller = Teller::new();
    match play(&cli, &mut teller).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            teller.fail(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn play(cli: &Cli, teller: &mut Teller) -> Result<()> {
    teller.title("Posthouse: the first letter");
    if !Ship::is_built() {
        teller.say("Building the two programs as they ship. The first time this takes some minutes.");
    }
    let mut network = Network::new()?;
    let played = tokio::select! {
        played = Box::pin(Story::play(&mut network, teller)) => played,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow::anyhow!("stopped by Ctrl-C before the end"))
        }
    };
    let story = match played {
        Ok(story) => story,
        Err(error) => {
            show_logs(&network, teller);
            return Err(error);
        }
    };
    if cli.keep {
        keep(&network, &story, teller).await?;
    }
    for relay in network.relays() {
        relay.terminate().await?;
    }
    let folder = network.folder().to_owned();
    drop(network);
    anyhow::ensure!(!folder.exists(), "{} is still there", folder.display());
    teller.say("All relays have stopped, and the temporary folder is gone.");
    Ok(())
}

async fn keep(network: &Network, story: &Story, teller: &mut Teller) -> Result<()> {
    teller.title("The relays stay up until you press Ctrl-C");
    for relay in network.relays() {
        teller.say(&format!(
            "{} serves at {}; its log is {}",
            relay.domain(),
            relay.http_url(),
            relay.log().display()
        ));
    }
    for (terminal, own, other) in [("one", &story.alice, &story.bob), ("two", &story.bob, &story.alice)] {
        teller.say(&format!("Terminal {terminal}, {}:", own.alias()));
        for line in commands(network, own, other) {
            teller.line(&line);
        }
    }
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}

/// Lines to copy into a terminal.
fn commands(network: &Network, own: &Person, other: &Person) -> Vec<String> {
    let programs =
        network.ship().client.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let (variable, value) = own.unlocking();
    vec![
        format!("    export PATH=\"{programs}:$PATH\""),
        format!("    export POSTHOUSE_HOME=\"{}\" {variable}=\"{value}\"", own.home().display()),
        "    posthouse listen &".to_owned(),
        format!("    posthouse send {} \"Hello from {}\"", other.alias(), own.alias()),
        format!("    posthouse history {}", other.alias()),
    ]
}

fn show_logs(network: &Network, teller: &mut Teller) {
    for relay in network.relays() {
        teller.say(&format!("The log of {} ends:", relay.domain()));
        teller.line(&tail(&relay.log()));
    }
}
