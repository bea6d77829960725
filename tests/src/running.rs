//! Commands that run while a test goes on: `send` with many texts, and `listen`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::process::{Leash, tail, terminate, within};

/// A running `send`.
#[derive(Debug)]
pub struct Sending {
    pub(crate) child: Child,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Sending {
    /// What it tells of the next message; `None` at the end.
    ///
    /// # Errors
    /// It takes too long, or prints what is no JSON.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        let line = within("the next line of `send`", self.lines.next_line()).await??;
        line.as_deref().map(parse).transpose()
    }

    /// Waits until it has ended, and returns the states that it told and that were not taken yet.
    ///
    /// # Errors
    /// It takes too long, or prints what is no JSON.
    pub async fn finish(mut self) -> Result<Vec<String>> {
        let mut states = Vec::new();
        while let Some(line) = self.next().await? {
            states.extend(line["state"].as_str().map(str::to_owned));
        }
        within("the end of `send`", self.child.wait()).await??;
        Ok(states)
    }
}

/// A running `listen`.
#[derive(Debug)]
pub struct Listener {
    // Let go of first: a process id may be used again once its process is gone.
    pub(crate) _leash: Leash,
    pub(crate) child: Child,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
    pub(crate) log: PathBuf,
}

impl Listener {
    /// The next thing that it tells.
    ///
    /// # Errors
    /// It has ended.
    pub async fn next(&mut self) -> Result<Value> {
        match self.lines.next_line().await? {
            Some(line) => parse(&line),
            None => bail!("`listen` ended; its log ends:\n{}", tail(&self.log)),
        }
    }

    /// The next line of one type; others are passed over.
    ///
    /// # Errors
    /// It does not come.
    pub async fn next_of(&mut self, name: &str) -> Result<Value> {
        let wait = async {
            loop {
                let line = self.next().await?;
                if line["type"] == name {
                    return anyhow::Ok(line);
                }
            }
        };
        within(&format!("waiting for `{name}`"), wait).await?
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("killing `listen`")
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn terminate(mut self) -> Result<()> {
        // What it still has to tell is read, or it would wait for a reader.
        let drain = async { while let Ok(Some(_)) = self.lines.next_line().await {} };
        tokio::join!(terminate(&mut self.child), drain).0
    }
}

/// A line of JSON.
pub(crate) fn parse(line: &str) -> Result<Value> {
    serde_json::from_str(line).with_context(|| format!("`{line}` is no JSON"))
}
