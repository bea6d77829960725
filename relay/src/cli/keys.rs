//! `posthouse-relay keys`: the relay's own keys, listed and replaced, whether it runs or not.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Serialize;

use super::options::Options;
use super::peers::when::utc;
use super::terminal::{now, say};
use crate::control::{Rotation, Running};
use crate::keyring::stopped;
use crate::keys::{KeysReport, Replaced, Which};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List the keys: public parts, PeerIds and times, never a secret.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Replace a key by a new one; other relays and clients follow by themselves.
    #[command(subcommand)]
    Rotate(RotateCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum RotateCommand {
    /// The node key: the relay's PeerId, which signs what it sends to other relays. The old one stays listed for a week.
    Node {
        #[command(flatten)]
        how: How,
    },
    /// The ordering key, which signs decisions and alias bindings. A room is safe from whoever has the old one as soon as it
    /// has seen a decision under the new one.
    Ordering {
        #[command(flatten)]
        common: Common,
    },
    /// The root key, which signs manifests: the key that every manifest has announced takes over.
    Root {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    options: Options,
    /// Print JSON instead of text for people.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct How {
    /// Somebody else may have the old key: other relays take nothing under it once they have the new manifest.
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(super) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::List { common } => list(&common).await,
        KeysCommand::Rotate(RotateCommand::Node { how }) => {
            rotate(&how.common, Rotation { which: Which::Node, now: how.now }).await
        }
        KeysCommand::Rotate(RotateCommand::Ordering { common }) => {
            rotate(&common, Rotation { which: Which::Ordering, now: false }).await
        }
        KeysCommand::Rotate(RotateCommand::Root { common }) => {
            rotate(&common, Rotation { which: Which::Root, now: false }).await
        }
    }
}

async fn list(common: &Common) -> anyhow::Result<ExitCode> {
    let settings = common.options.config()?.settings()?;
    let report: KeysReport = match Running::if_any(&settings.data).await? {
        Some(relay) => relay.get("/keys").await?,
        None => stopped::list(&settings, now())?,
    };
    common.print(&report, table)
}

async fn rotate(common: &Common, rotation: Rotation) -> anyhow::Result<ExitCode> {
    let settings = common.options.config()?.settings()?;
    let replaced: Replaced = match Running::if_any(&settings.data).await? {
        Some(relay) => relay.call(Method::POST, "/keys/rotate", &rotation).await?,
        None => stopped::rotate(&settings, rotation.which, rotation.overlap(), now())?,
    };
    common.print(&replaced, words)
}

impl Common {
    /// Prints an answer: as it is, or in words.
    fn print<T: Serialize>(&self, answer: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<ExitCode> {
        let text = if self.json { serde_json::to_string(answer)? } else { words(answer) };
        say(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(report: &KeysReport) -> String {
    let mut text = match report.manifest {
        Some(seq) => format!("manifest {seq}"),
        None => "no manifest yet: the relay has never served".to_owned(),
    };
    for key in &report.keys {
        // Writing to a string never fails.
        let _ = write!(text, "\n{:<10} {}", key.role, key.public);
        if let Some(peer) = &key.peer_id {
            let _ = write!(text, " {peer}");
        }
        let since = key.since.map(|since| format!("since {}", utc(since)));
        let until = key.until.map(|until| format!("until {}", utc(until)));
        let times: Vec<String> = since.into_iter().chain(until).collect();
        if !times.is_empty() {
            let _ = write!(text, "\n{:<10} {}", "", times.join(", "));
        }
    }
    text
}

fn words(done: &Replaced) -> String {
    let mut text = format!("replaced the {} key\nold {}\nnew {}", done.which, done.before, done.after);
    if let Some(peer) = &done.peer_id {
        let _ = write!(text, " (PeerId {peer})");
    }
    let old = match (done.which, done.until) {
        (Which::Node, Some(until)) => format!(
            "the old key stays listed until {}, for what it has signed and what still travels; its private half is gone",
            utc(until)
        ),
        (Which::Node, None) => {
            "the old key, and every older one, is off the list: other relays refuse it as soon as they have the manifest".to_owned()
        }
        (Which::Ordering, _) => {
            "this relay signs nothing with the old key any more; decisions that it made stay in force, and alias bindings are signed anew. \
             A room takes nothing more under the old key once it has seen a decision under the new one".to_owned()
        }
        (Which::Root, _) => {
            "the old key signs nothing any more; a new next root was made, and its hash is announced".to_owned()
        }
    };
    let _ = write!(text, "\n{old}");
    let next = match (done.running, done.manifest) {
        (true, seq) => format!(
            "the relay uses the new key already, and manifest {} names it: relays that are connected are told now, all others and the clients find it by themselves",
            seq.unwrap_or_default()
        ),
        (false, Some(seq)) => format!(
            "manifest {seq} names the new key: the relay uses it from its next start on, and everybody else finds it by themselves"
        ),
        (false, None) => "the relay has never served, so that nobody has to be told".to_owned(),
    };
    let _ = write!(text, "\n{next}");
    let backup = "make a new backup of keys.toml: an older one has the old key";
    let _ = write!(text, "\n{backup}");
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: KeysCommand,
    }

    #[test]
    fn only_a_node_key_can_be_struck_off_at_once() {
        let line = |key| Line::try_parse_from(["keys", "rotate", key, "--now"]).map(|line| line.command);
        assert!(matches!(line("node"), Ok(KeysCommand::Rotate(RotateCommand::Node { how })) if how.now));
        assert!(line("ordering").is_err() && line("root").is_err());
    }
}
