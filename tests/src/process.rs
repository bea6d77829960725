//! What relays and people have in common: child processes that end with the harness, and their logs.

use std::fs;
use std::io::Write as _;
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

/// Ends a process if the harness itself is killed and cannot do it.
///
/// A shell waits for a line on a pipe that only the harness holds: with the harness goes the pipe, and then the process.
#[derive(Debug)]
pub struct Leash {
    shell: std::process::Child,
}

impl Leash {
    /// Ties a process to the life of the harness.
    ///
    /// # Errors
    /// The process has ended already, or no shell can be started.
    pub fn on(child: &Child) -> Result<Self> {
        let pid = child.id().context("the process has ended already")?.to_string();
        let script = r#"read -r word; [ "$word" = done ] || kill -9 "$1" 2>/dev/null"#;
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", script, "leash", &pid])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self { shell: shell.spawn().context("starting a shell to watch a process")? })
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // A shell that has gone already watches nothing, which is what is wanted here.
        if let Some(mut stdin) = self.shell.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap()
    }

    #[tokio::test]
    async fn a_leash_ends_what_the_harness_cannot() {
        let mut child = sleeper();
        let mut leash = Leash::on(&child).unwrap();
        drop(leash.shell.stdin.take());
        assert!(!within("the end", child.wait()).await.unwrap().unwrap().success());
    }

    #[tokio::test]
    async fn a_leash_that_is_let_go_ends_nothing() {
        let mut child = sleeper();
        drop(Leash::on(&child).unwrap());
        assert!(child.try_wait().unwrap().is_none());
    }
}
