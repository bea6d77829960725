//! A running `rpc`, and whoever asks it.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::person::Person;
use crate::process::{Leash, tail, terminate, within};
use crate::running::parse;

/// A running `rpc`.
#[derive(Debug)]
pub struct Rpc {
    // Let go of first: a process id may be used again once its process is gone.
    _leash: Leash,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    events: VecDeque<Value>,
    asked: u64,
    log: PathBuf,
}

impl Person {
    /// Starts `rpc`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn rpc(&self) -> Result<Rpc> {
        let log = self.home().join("rpc.log");
        let stderr = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = self.command(&["rpc"]);
        let mut child = command.stdin(Stdio::piped()).stderr(stderr).spawn().context("starting `rpc`")?;
        let input = child.stdin.take().context("the process has no standard input")?;
        let output = child.stdout.take().context("the process has no standard output")?;
        let lines = BufReader::new(output).lines();
        Ok(Rpc { _leash: Leash::on(&child)?, child, input, lines, events: VecDeque::new(), asked: 0, log })
    }
}

impl Rpc {
    /// Writes a request, and returns its id.
    ///
    /// # Errors
    /// The process has ended.
    pub async fn ask(&mut self, method: &str, params: Value) -> Result<u64> {
        self.asked += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        self.input.write_all(format!("{request}\n").as_bytes()).await.context("asking `rpc`")?;
        Ok(self.asked)
    }

    /// The result of a method, which must have one.
    ///
    /// # Errors
    /// It has an error, or does not come.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.ask(method, params).await?;
        let wait = async {
            loop {
                let line = self.read().await?;
                match line.get("id") {
                    None => self.events.push_back(line["params"].clone()),
                    Some(answered) if *answered == id => return anyhow::Ok(line),
                    Some(_) => {}
                }
            }
        };
        let mut answer = within(&format!("the answer to `{method}`"), wait).await??;
        match answer.get("error") {
            Some(error) => bail!("`{method}` failed: {error}"),
            None => Ok(answer["result"].take()),
        }
    }

    /// The next event of one type; others are passed over.
    ///
    /// # Errors
    /// It does not come.
    pub async fn event(&mut self, name: &str) -> Result<Value> {
        while let Some(event) = self.events.pop_front() {
            if event["type"] == name {
                return Ok(event);
            }
        }
        let wait = async {
            loop {
                let line = self.read().await?;
                if line["method"] == "event" && line["params"]["type"] == name {
                    return anyhow::Ok(line["params"].clone());
                }
            }
        };
        within(&format!("waiting for the event `{name}`"), wait).await?
    }

    async fn read(&mut self) -> Result<Value> {
        match self.lines.next_line().await? {
            Some(line) => parse(&line),
            None => bail!("`rpc` ended; its log ends:\n{}", tail(&self.log)),
        }
    }

    /// Ends its input, and returns what it still says and its exit code.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn close(self) -> Result<(Vec<Value>, Option<i32>)> {
        let Self { _leash, mut child, input, lines, .. } = self;
        drop(input);
        let rest = within("the last words of `rpc`", rest(lines)).await??;
        let status = within("the end of `rpc`", child.wait()).await??;
        Ok((rest, status.code()))
    }

    /// Asks it to end, and returns what it still says and its exit code.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn terminate(self) -> Result<(Vec<Value>, Option<i32>)> {
        let Self { _leash, mut child, input, lines, .. } = self;
        // What it still has to tell is read, or it would wait for a reader.
        let (ended, rest) = tokio::join!(terminate(&mut child), rest(lines));
        ended?;
        drop(input);
        Ok((rest?, child.wait().await?.code()))
    }
}

async fn rest(mut lines: Lines<BufReader<ChildStdout>>) -> Result<Vec<Value>> {
    let mut rest = Vec::new();
    while let Some(line) = lines.next_line().await? {
        rest.push(parse(&line)?);
    }
    Ok(rest)
}
