//! What can be typed.

pub(crate) mod history;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use posthouse_spec::Alias;
use zeroize::Zeroizing;

use crate::room_args::{self, RoomCommand};
use history::{BackupArgs, ExportArgs, ImportArgs, RetentionArgs, SearchArgs};

/// Longest time that a command may try to reach the relay, seconds: one hour.
pub(crate) const MAX_TIMEOUT: u64 = 3600;

/// Sealed messages between people of many relays.
#[derive(Debug, Parser)]
#[command(name = "posthouse", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Shown at the end of the help.
const EXIT_CODES: &str = "\
Examples:
  posthouse register alice@a.example
  posthouse send bob@b.example 'Dear Bob'
  posthouse listen
  posthouse --profile work --json history bob@b.example
  posthouse search 'cellar key'
  posthouse backup create alice.backup

Exit codes: 0 done (`send`: accepted, or queued for later), 1 other trouble, 2 usage, 3 network, \
4 refused, 5 vault (locked, wrong passphrase, damaged), 6 not found, 130 interrupted.
The vault's passphrase is read from POSTHOUSE_PASSPHRASE, or asked for.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The profile: one account on this machine.
    #[arg(long, global = true, default_value = "default", env = "POSTHOUSE_PROFILE", value_name = "NAME")]
    pub(crate) profile: String,
    /// The folder that holds the profiles [default: ~/.local/share/posthouse].
    #[arg(long, global = true, env = "POSTHOUSE_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Prints one JSON object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Opens the vault with this file instead of the keyring or a passphrase.
    #[arg(long, global = true, env = "POSTHOUSE_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// How long to try to reach the relay, seconds.
    #[arg(long, global = true, default_value_t = 10, value_name = "SECS",
          value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT))]
    pub(crate) timeout: u64,
    /// Colours; NO_COLOR switches them off too.
    #[arg(long, global = true, default_value = "auto", value_enum, value_name = "WHEN")]
    pub(crate) color: When,
}

impl Global {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account and a vault, and shows the recovery code.
    Register(RegisterArgs),
    /// Sends a text; without a connection it is kept and goes out with the next command that connects.
    Send(SendArgs),
    /// Shows what arrives as it arrives; meanwhile other commands go through this one.
    #[command(
        after_help = "Examples:\n  posthouse listen\n  posthouse --json listen | jq 'select(.type == \"message\")'"
    )]
    Listen,
    /// Shows unread messages.
    #[command(after_help = "Examples:\n  posthouse inbox\n  posthouse --json inbox --offline")]
    Inbox(ReadArgs),
    /// Makes and changes groups and rooms for announcements.
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = room_args::EXAMPLES)]
    Room {
        #[command(subcommand)]
        command: RoomCommand,
    },
    /// Lists the rooms.
    #[command(after_help = "Examples:\n  posthouse rooms\n  posthouse --json rooms | jq .unread")]
    Rooms(ReadArgs),
    /// Shows a conversation.
    History(HistoryArgs),
    /// Shows alias, account and device.
    #[command(after_help = "Examples:\n  posthouse whoami\n  posthouse --profile work --json whoami")]
    Whoami,
    /// Shows the safety number to compare with somebody.
    #[command(after_help = "Examples:\n  posthouse verify bob@b.example")]
    Verify(PersonArgs),
    /// Lists who asks to talk.
    #[command(after_help = "Examples:\n  posthouse requests")]
    Requests(ReadArgs),
    /// Accepts somebody who asks to talk.
    #[command(after_help = "Examples:\n  posthouse accept bob@b.example")]
    Accept(PersonArgs),
    /// Blocks somebody.
    #[command(after_help = "Examples:\n  posthouse block mallory@m.example")]
    Block(PersonArgs),
    /// Looks for a text in all messages.
    Search(SearchArgs),
    /// Shows or sets after how many days a conversation's messages are deleted here.
    Retention(RetentionArgs),
    /// Writes all messages as JSON lines, or as a page for people.
    Export(ExportArgs),
    /// Takes the JSON lines of an export back.
    Import(ImportArgs),
    /// Writes, checks and restores encrypted backups.
    Backup(BackupArgs),
    /// Serves other programs: commands as JSON-RPC 2.0 on standard input and output, and what happens as notifications.
    #[command(
        after_help = "Examples:\n  posthouse rpc < requests.jsonl\n  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.methods\"}' | posthouse rpc"
    )]
    Rpc,
    /// Prints a file for the shell, so that Tab completes commands and options.
    Completions(CompletionsArgs),
    /// Writes man pages, one for each command.
    Man(ManArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse register alice@a.example --invite TOKEN\n  posthouse register alice@a.localhost --relay http://127.0.0.1:6480"
)]
pub(crate) struct RegisterArgs {
    /// The alias, such as alice@a.example.
    pub(crate) alias: Alias,
    /// The relay's URL [default: https:// and the alias's domain].
    #[arg(long, value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// An invite token, where the relay asks for one.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) invite: Option<Zeroizing<String>>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse send bob@b.example 'Dear Bob'\n  posthouse send Garden 'The roses are out'\n  tail -f log | posthouse send bob@b.example - --lines"
)]
pub(crate) struct SendArgs {
    /// To whom, such as bob@b.example; or a room: its name, its id, or the beginning of that.
    pub(crate) to: String,
    /// The text, or - to read it from standard input.
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
    /// With -: every line of standard input is a message of its own.
    #[arg(long)]
    pub(crate) lines: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Shows what the vault holds without asking the relay first.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse history bob@b.example --limit 20\n  posthouse history Garden\n  posthouse --json history bob@b.example --before 120 --limit 20\n  posthouse --json history bob@b.example --after 120 --limit 20"
)]
pub(crate) struct HistoryArgs {
    /// With whom, or a room: its name, its id, or the beginning of that.
    pub(crate) with: String,
    /// At most this many, the last ones.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only messages before this one: its `local` number.
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<u64>,
    /// Only messages behind this one; with --limit and without --before the first of them.
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<u64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PersonArgs {
    /// Whom.
    pub(crate) alias: Alias,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse completions bash > ~/.local/share/bash-completion/completions/posthouse\n  posthouse completions zsh > ~/.zfunc/_posthouse\n  posthouse completions fish > ~/.config/fish/completions/posthouse.fish"
)]
pub(crate) struct CompletionsArgs {
    /// For which shell.
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  posthouse man ~/.local/share/man/man1\n  posthouse man | man -l -")]
pub(crate) struct ManArgs {
    /// The folder to write to [default: all pages to standard output].
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_help_of_every_command_has_examples() {
        let program = Cli::command();
        let mut waiting: Vec<_> = program.get_subcommands().collect();
        while let Some(command) = waiting.pop() {
            waiting.extend(command.get_subcommands());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("posthouse {}", command.get_name());
            let found = help.starts_with("Examples:") && help.contains(command.get_name());
            assert!(found, "the help of `{example}` ends with no example: give it an `after_help`");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_behind_the_command() {
        let cli =
            Cli::try_parse_from(["posthouse", "inbox", "--json", "--offline", "--timeout", "3"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.timeout(), Duration::from_secs(3));
    }

    #[test]
    fn a_text_may_begin_with_a_hyphen() {
        for words in [["-hello", "--lines"], ["--lines", "-hello"]] {
            let typed = ["posthouse", "send", "bob@b.example"].into_iter().chain(words);
            let Command::Send(args) = Cli::try_parse_from(typed).unwrap().command else { panic!() };
            assert_eq!((args.text.as_str(), args.lines), ("-hello", true));
        }
    }
}
