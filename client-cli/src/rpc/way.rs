//! The way to the vault. It is owned here, or by a running `listen`; where that one goes, it is owned here from then on.

use std::sync::Arc;

use posthouse_client::Profile;
use serde::Serialize;
use tokio::io::BufReader;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::frame::Notification;
use super::out::Out;
use crate::args::Global;
use crate::cmd;
use crate::daemon::Daemon;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::place::{self, LISTENER_GONE, LOOK_AGAIN, Place};
use crate::request::{Item, Lines, Order, Pace, Request};
use crate::socket;

/// The way to the vault.
#[derive(Clone)]
pub(crate) enum Way {
    /// It is owned here; it is closed once the work on it is done.
    Own { desk: Arc<Desk>, works: TaskTracker },
    /// A running `listen` owns it.
    Through(Profile),
}

impl Way {
    /// Has an order done as a task of its own, because an export blocks while its lines wait to be read.
    pub(crate) fn begin(self, order: Order, lines: Lines) -> AbortOnDropHandle<Result<(), Failure>> {
        let task = match self {
            Self::Own { desk, works } => works.spawn(async move { cmd::execute(&desk, order, &lines).await }),
            Self::Through(profile) => tokio::spawn(async move { through(&profile, &order, &lines).await }),
        };
        AbortOnDropHandle::new(task)
    }
}

/// Each order has a connection of its own, because a `listen` serves what comes on one in turn.
async fn through(profile: &Profile, order: &Order, lines: &Lines) -> Result<(), Failure> {
    let connected =
        socket::connect(profile).await.map_err(|error| place::gone(&format!("failed: {error}")))?;
    let stream = connected.ok_or_else(|| place::gone("is not there any more"))?;
    place::pass_on(&mut BufReader::new(stream), order, lines).await
}

/// Keeps a way open, and tells what happens.
pub(crate) struct Keeper {
    pub(crate) profile: Profile,
    pub(crate) global: Global,
    pub(crate) ways: watch::Sender<Option<Way>>,
    pub(crate) out: Out,
    pub(crate) end: CancellationToken,
}

/// The last event of an `rpc` that cannot go on.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "stopped")]
struct Stopped<'a> {
    category: &'static str,
    code: &'a str,
    message: &'a str,
}

impl Keeper {
    /// Keeps it until the end.
    ///
    /// # Errors
    /// The vault does not open, the live sync ends with an error, or nobody reads the events any more.
    pub(crate) async fn keep(&self) -> Result<(), Failure> {
        let kept = self.keep_open().await;
        self.end.cancel();
        self.ways.send_replace(None);
        if let Err(Failure { exit, code, message }) = &kept {
            let stopped = Stopped { category: exit.name(), code, message };
            // It is on standard error as well.
            let _ = self.out.say(&Notification::event(&stopped)?).await;
        }
        kept
    }

    async fn keep_open(&self) -> Result<(), Failure> {
        loop {
            let find = Place::find(&self.profile, &self.global);
            let Some(place) = self.end.run_until_cancelled(find).await else { return Ok(()) };
            match place? {
                Place::Here(client) => {
                    let owned = match Daemon::start(client.clone(), &self.profile, self.end.clone()) {
                        Ok((daemon, told)) => self.own(daemon, told).await,
                        Err(failure) => Err(failure),
                    };
                    client.close().await?;
                    return owned;
                }
                Place::There(stream) => match self.end.run_until_cancelled(self.follow(stream)).await {
                    None => return Ok(()),
                    Some(Err(failure)) if failure.code != LISTENER_GONE => return Err(failure),
                    Some(_) => {
                        self.ways.send_replace(None);
                        sleep(LOOK_AGAIN).await;
                    }
                },
            }
        }
    }

    async fn own(&self, daemon: Daemon, told: Receiver<Item>) -> Result<(), Failure> {
        let way = Way::Own { desk: daemon.desk().clone(), works: daemon.tasks().clone() };
        self.ways.send_replace(Some(way));
        let told = self.tell(told).await;
        let ended = daemon.end().await;
        told.and(ended)
    }

    async fn follow(&self, mut stream: BufReader<tokio::net::UnixStream>) -> Result<(), Failure> {
        self.ways.send_replace(Some(Way::Through(self.profile.clone())));
        let timeout_ms = u64::try_from(self.global.timeout().as_millis()).unwrap_or(u64::MAX);
        let order = Order { request: Request::Listen, pace: Pace { timeout_ms, offline: false } };
        let (lines, items) = Lines::channel();
        let pass_on = async move { place::pass_on(&mut stream, &order, &lines).await };
        let (passed, told) = tokio::join!(pass_on, self.tell(items));
        told.and(passed)
    }

    async fn tell(&self, mut items: Receiver<Item>) -> Result<(), Failure> {
        while let Some(item) = items.recv().await {
            if let Item::Line(line) = item {
                self.out.say(&Notification::event(&line)?).await?;
            }
        }
        Ok(())
    }
}
