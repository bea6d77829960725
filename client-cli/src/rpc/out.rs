//! The one way to standard output: whole lines of JSON.

use std::io::{Error, ErrorKind};

use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::frame::no_json;
use crate::failure::{Exit, Failure};

/// Lines that may wait to be written, items.
const PENDING: usize = 16;

/// Where lines are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Out(mpsc::Sender<String>);

impl Out {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(PENDING);
        (Self(sender), receiver)
    }

    /// Hands in a line.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) async fn say(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_string(value).map_err(no_json)?;
        line.push('\n');
        self.0.send(line).await.map_err(|_| Failure::pipe_closed())
    }
}

/// Writes what is handed in, until everybody who could hand in something has gone.
///
/// # Errors
/// Nobody reads any more, or the output fails otherwise.
pub(crate) async fn write(
    mut said: mpsc::Receiver<String>,
    mut to: impl AsyncWrite + Unpin,
) -> Result<(), Failure> {
    while let Some(line) = said.recv().await {
        to.write_all(line.as_bytes()).await.map_err(unwritten)?;
        to.flush().await.map_err(unwritten)?;
    }
    Ok(())
}

fn unwritten(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::pipe_closed(),
        _ => Failure::new(Exit::Other, "output", format!("cannot write the output: {error}")),
    }
}
