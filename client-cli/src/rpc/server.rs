//! Reads requests, has them done side by side, and answers each when it is done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncBufRead;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{Answer, Call, Fault, Input, Invalid, MAX_BATCH};
use super::method::Method;
use super::order::{Asked, given, order};
use super::out::Out;
use super::read::{self, MAX_LINE, Next};
use super::table::{self, EVENTS, LIST, PROTOCOL, VERSION};
use super::told::Told;
use super::way::Way;
use crate::failure::{Exit, Failure};
use crate::request::Lines;

/// Most requests that are worked on at once; what comes behind them is not read before one is done. Half of what a
/// `listen` serves at once, so that other commands get through beside these.
pub(crate) const MAX_IN_FLIGHT: usize = 16;

const _: () = assert!(MAX_BATCH <= MAX_IN_FLIGHT, "a whole batch is worked on at once");

/// Serves requests.
#[derive(Clone)]
pub(crate) struct Server {
    ways: watch::Receiver<Option<Way>>,
    out: Out,
    end: CancellationToken,
    /// How long a command tries to reach the relay, where the request does not say.
    timeout: Duration,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Server {
    pub(crate) fn new(
        ways: watch::Receiver<Option<Way>>,
        out: Out,
        end: CancellationToken,
        timeout: Duration,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Self { ways, out, end, timeout, places, tasks: TaskTracker::new() }
    }

    /// Serves until the input ends, `asked` to stop, or the end; then what runs is finished, and the end called. Once asked
    /// to stop, what runs has a time of `grace` left.
    ///
    /// # Errors
    /// The input fails, or nobody reads the answers.
    pub(crate) async fn serve(
        &self,
        input: impl AsyncBufRead + Unpin,
        asked: &CancellationToken,
        grace: Duration,
    ) -> Result<(), Failure> {
        let read = tokio::select! {
            read = self.read(input) => read,
            () = asked.cancelled() => Ok(()),
            () = self.end.cancelled() => Ok(()),
        };
        self.tasks.close();
        let patience = async {
            asked.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            () = self.tasks.wait() => {}
            () = patience => {}
            () = self.end.cancelled() => {}
        }
        self.end.cancel();
        // What still runs is answered that it was interrupted.
        self.tasks.wait().await;
        read
    }

    async fn read(&self, mut input: impl AsyncBufRead + Unpin) -> Result<(), Failure> {
        // A passphrase may be asked for at the terminal before the vault is open.
        self.way().await?;
        loop {
            let next = read::next(&mut input).await.map_err(|error| {
                Failure::new(Exit::Other, "input", format!("cannot read standard input: {error}"))
            })?;
            match next {
                Next::Line(line) => self.take(&line).await?,
                Next::TooLong => {
                    let message =
                        format!("a line is longer than {MAX_LINE} bytes and was skipped: send less at once");
                    let fault = Fault::invalid("line-too-long", message);
                    self.out.say(&Answer::new(None, Err(fault))).await?;
                }
                Next::End => return Ok(()),
            }
        }
    }

    async fn take(&self, line: &[u8]) -> Result<(), Failure> {
        match Input::parse(line) {
            Input::One(Err(invalid)) => self.out.say(&refusal(invalid)).await,
            Input::One(Ok(call)) => {
                let place = self.places.clone().acquire_owned().await.map_err(|_| stopped())?;
                let server = self.clone();
                self.tasks.spawn(async move {
                    if let Some(answer) = server.answer(call).await {
                        // Who has gone is told nothing more.
                        let _ = server.out.say(&answer).await;
                    }
                    drop(place);
                });
                Ok(())
            }
            Input::Batch(calls) => {
                let wanted = u32::try_from(calls.len()).unwrap_or(u32::MAX);
                let places = self.places.clone().acquire_many_owned(wanted).await.map_err(|_| stopped())?;
                let server = self.clone();
                self.tasks.spawn(async move {
                    server.answer_all(calls).await;
                    drop(places);
                });
                Ok(())
            }
        }
    }

    async fn answer_all(&self, calls: Vec<Result<Call, Invalid>>) {
        let answering = calls.into_iter().map(|call| {
            let server = self.clone();
            self.tasks.spawn(async move {
                match call {
                    Ok(call) => server.answer(call).await,
                    Err(invalid) => Some(refusal(invalid)),
                }
            })
        });
        let mut answers = Vec::new();
        for answer in answering.collect::<Vec<_>>() {
            answers.extend(answer.await.ok().flatten());
        }
        if !answers.is_empty() {
            // Who has gone is told nothing more.
            let _ = self.out.say(&answers).await;
        }
    }

    /// Does what is asked; a notification gets no answer.
    async fn answer(&self, call: Call) -> Option<Answer> {
        let outcome = self.outcome(&call.method, call.params).await;
        call.id.map(|id| Answer::new(Some(id), outcome))
    }

    async fn outcome(&self, name: &str, params: Option<Value>) -> Result<Value, Fault> {
        if name == VERSION.name {
            given(&VERSION, params)?;
            let program = concat!("posthouse ", env!("CARGO_PKG_VERSION"));
            return Ok(json!({ "protocol": PROTOCOL, "program": program }));
        }
        if name == LIST.name {
            given(&LIST, params)?;
            let events: Vec<_> = EVENTS.iter().map(|(name, is)| json!({ "type": name, "is": is })).collect();
            return Ok(json!({ "methods": table::all().collect::<Vec<_>>(), "events": events }));
        }
        let method = table::find(name).ok_or_else(|| Fault::unknown_method(name))?;
        let asked = order(method, params, self.timeout)?;
        match self.end.run_until_cancelled(self.ask(method, asked)).await {
            Some(outcome) => outcome,
            None => Err(stopped().into()),
        }
    }

    async fn ask(&self, method: &Method, asked: Asked) -> Result<Value, Fault> {
        let way = self.way().await?;
        let (lines, items) = Lines::channel();
        let work = way.begin(asked.order, lines);
        let told = Told::collect(items, asked.most).await?;
        let done = match told.is_cut() {
            true => Ok(()),
            false => work.await.unwrap_or_else(|_| {
                Err(Failure::new(Exit::Other, "internal", "the command broke off: see the log"))
            }),
        };
        told.answer(method.result, done)
    }

    /// The way to the vault, once there is one.
    async fn way(&self) -> Result<Way, Failure> {
        let mut ways = self.ways.clone();
        let way = ways.wait_for(Option::is_some).await.map_err(|_| stopped())?;
        way.clone().ok_or_else(stopped)
    }
}

fn refusal(invalid: Invalid) -> Answer {
    Answer::new(invalid.id, Err(*invalid.fault))
}

fn stopped() -> Failure {
    let message =
        "`rpc` ended before this was done; what was stored stays stored, and goes on with the next command";
    Failure::new(Exit::Interrupted, "interrupted", message)
}
