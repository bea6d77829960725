//! What relays and people have in common: child processes that end with the harness, and their logs.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

/// How long a process may take to do what it was told, before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a log is shown, bytes.
const TAIL: usize = 4 * 1024;

/// The end of a log, for a report of what went wrong.
#[must_use]
pub fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// Waits for something, but not for ever; `what` says for what.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .with_context(|| format!("{what} took longer than {} s", PATIENCE.as_secs()))
}

/// Asks a process to end, as an operator would, and waits until it has.
pub(crate) async fn terminate(child: &mut Child) -> Result<()> {
    let Some(pid) = child.id() else { return Ok(()) };
    let status =
        Command::new("kill").args(["-TERM", &pid.to_string()]).stderr(Stdio::null()).status().await?;
    if !status.success() && child.try_wait()?.is_none() {
        bail!("sending SIGTERM to process {pid} failed");
    }
    within("ending after SIGTERM", child.wait()).await??;
    Ok(())
}
