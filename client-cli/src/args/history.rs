//! What can be typed about history and backups.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use posthouse_client::Moment;
use posthouse_spec::Millis;
use serde::{Deserialize, Serialize};

/// Most messages that a search shows at once.
const MAX_HITS: u64 = 1000;
/// Longest time for which a conversation is kept before its messages go, days.
const MAX_DAYS: u64 = 36_500;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse search cellar\n  posthouse search '\"cellar key\" pot' --with bob@b.example --limit 20\n  \
posthouse search roses --with Garden\n  posthouse --json search key --since 2026-01-01 --until 2026-02-01\n  \
posthouse search key --before 120\n\n\
Words and parts of words are found, in any case; what stands between quotation marks stays together."
)]
pub(crate) struct SearchArgs {
    /// What to look for.
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
    /// Only in this conversation: with whom, or a room: its name, its id, or the beginning of that.
    #[arg(long, value_name = "ALIAS|ROOM")]
    pub(crate) with: Option<String>,
    /// Only messages before this one: its `local` number.
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<u64>,
    /// Only messages behind this one, and of those the next ones.
    #[arg(long, value_name = "ID", conflicts_with = "before")]
    pub(crate) after: Option<u64>,
    /// Only messages sent on this day (UTC) or later, such as 2026-11-20 or 2026-11-20T11:35.
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(crate) since: Option<Millis>,
    /// Only messages sent before this day (UTC).
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(crate) until: Option<Millis>,
    /// At most this many, the newest ones.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MAX_HITS))]
    pub(crate) limit: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse retention bob@b.example\n  posthouse retention bob@b.example 30\n  posthouse retention Garden off\n\n\
Only this vault forgets: the others in the conversation keep what they have."
)]
pub(crate) struct RetentionArgs {
    /// With whom, or a room: its name, its id, or the beginning of that.
    #[arg(value_name = "ALIAS|ROOM")]
    pub(crate) with: String,
    /// After how many days messages are deleted, or `off`; without it the setting is shown.
    #[arg(value_name = "DAYS|off", value_parser = keep)]
    pub(crate) keep: Option<Keep>,
}

/// How long a conversation is kept: a number of days, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Keep {
    /// So many days.
    Days(u64),
    /// For ever.
    Ever(Ever),
}

/// What stands for ever in place of a number of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ever {
    /// Nothing is deleted.
    Off,
}

/// In which form an export is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// One JSON object a line, for programs and for `import`.
    #[default]
    Json,
    /// One page for people.
    Html,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse export letters.jsonl\n  posthouse export --format html letters.html\n  posthouse export | wc -l"
)]
pub(crate) struct ExportArgs {
    /// The file to write; it must not exist yet [default: standard output].
    pub(crate) file: Option<PathBuf>,
    /// The form.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse import letters.jsonl\n  posthouse import letters.jsonl --skip-bad\n\n\
What a file says is marked as imported: nothing in it proves who wrote what. The same file twice changes nothing."
)]
pub(crate) struct ImportArgs {
    /// A file that `export` has written as JSON lines.
    pub(crate) file: PathBuf,
    /// Leaves bad lines out, instead of importing nothing.
    #[arg(long)]
    pub(crate) skip_bad: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  posthouse backup create alice.backup\n  posthouse backup verify alice.backup\n  posthouse backup restore alice.backup"
)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    pub(crate) command: BackupCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Writes people, messages and settings to one encrypted file, which the 24 words open.
    #[command(after_help = "Examples:\n  posthouse backup create /media/stick/alice.backup")]
    Create {
        /// The file; an older backup of this account is replaced, nothing else is.
        file: PathBuf,
    },
    /// Proves that a backup restores, and says what it holds.
    #[command(
        after_help = "Examples:\n  posthouse backup verify alice.backup\n  posthouse backup verify alice.backup --words"
    )]
    Verify {
        /// The file.
        file: PathBuf,
        /// Opens it with the 24 words, from the terminal or standard input, as `restore` would; needs no vault.
        #[arg(long)]
        words: bool,
    },
    /// Brings a backup back into an empty profile. Asks for the 24 words, at the terminal or on standard input.
    #[command(
        after_help = "Examples:\n  posthouse backup restore alice.backup\n  posthouse --profile old backup restore alice.backup < words.txt\n\n\
What comes back is the history. Keys are not in a backup: this device can read, and cannot send before it is enrolled."
    )]
    Restore {
        /// The file.
        file: PathBuf,
    },
}

fn moment(text: &str) -> Result<Millis, String> {
    Moment::parse(text)
        .map(Moment::millis)
        .ok_or_else(|| "write a day as 2026-11-20, or a time as 2026-11-20T11:35".to_owned())
}

fn keep(text: &str) -> Result<Keep, String> {
    match text.parse() {
        _ if text == "off" => Ok(Keep::Ever(Ever::Off)),
        Ok(days) if (1..=MAX_DAYS).contains(&days) => Ok(Keep::Days(days)),
        _ => Err(format!("write a number of days from 1 to {MAX_DAYS}, or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_numbers_or_off() {
        assert_eq!(keep("30"), Ok(Keep::Days(30)));
        assert_eq!(keep("off"), Ok(Keep::Ever(Ever::Off)));
        for bad in ["0", "-1", "soon", "36501", ""] {
            assert!(keep(bad).is_err(), "{bad}");
        }
        assert_eq!(moment("1970-01-02"), Ok(Millis(86_400_000)));
        assert!(moment("yesterday").is_err());
    }
}
