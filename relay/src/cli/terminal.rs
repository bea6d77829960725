//! What the commands share: the terminal and the clock.

use std::io::Write as _;
use std::process::ExitCode;

use posthouse_spec::Millis;

/// Prints an error for people, and gives the exit code for it.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        text = format!("{text}: {cause}");
    }
    // Where even standard error is closed there is nobody to tell.
    let told = writeln!(std::io::stderr(), "posthouse-relay: {text}");
    drop(told);
    ExitCode::FAILURE
}

/// Prints a text for people.
pub(super) fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// The clock of the machine: the only place that reads it.
pub(super) fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
