//! A running `listen`: it owns the vault, keeps it up to date, tells what happens, and serves other commands.

use std::sync::Arc;

use posthouse_client::{Client, ClientError, Profile};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::cmd;
use crate::desk::{Desk, Live};
use crate::failure::{Exit, Failure};
use crate::line::Line;
use crate::output::Output;
use crate::request::{Item, Lines, Order};
use crate::socket::{self, Bound, Reply, Shown};

/// Most commands served at once.
const MAX_CONNECTIONS: usize = 32;

/// Owns the vault until `stop`, or until the live sync ends, and shows what happens.
///
/// # Errors
/// The socket cannot be made, the live sync ends with an error, or nobody reads the output any more.
pub(crate) async fn run(
    client: Client,
    profile: &Profile,
    output: &mut Output,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let (daemon, mut told) = Daemon::start(client, profile, stop)?;
    let mut shown = Ok(());
    while let (Ok(()), Some(item)) = (&shown, told.recv().await) {
        shown = output.item(item);
    }
    let ended = daemon.end().await;
    shown.and(ended)
}

/// An owned vault that is kept up to date and serves other commands.
pub(crate) struct Daemon {
    desk: Arc<Desk>,
    tasks: TaskTracker,
    sync: JoinHandle<Result<(), ClientError>>,
    stop: CancellationToken,
}

impl Daemon {
    /// Starts it; what happens is handed on until `stop`, or until the live sync ends.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn start(
        client: Client,
        profile: &Profile,
        stop: CancellationToken,
    ) -> Result<(Self, Receiver<Item>), Failure> {
        let bound = Bound::bind(profile).map_err(|error| {
            let path = socket::path(profile);
            let message =
                format!("cannot serve other commands at {}: {error}; check the folder", path.display());
            Failure::new(Exit::Other, "socket", message)
        })?;
        let live = Live::new();
        let mut events = live.events();
        let desk = Arc::new(Desk::live(client.clone(), live.clone()));
        let tasks = TaskTracker::new();
        tasks.spawn(serve(bound, desk.clone(), stop.clone(), tasks.clone()));
        let (lines, told) = Lines::channel();
        tasks.spawn({
            let stop = stop.clone();
            let tell = async move {
                lines.line(Line::Listening { owner: true }).await?;
                cmd::listen::tell(&mut events, &lines).await
            };
            // What ends the telling ends the output as well.
            async move { drop(stop.run_until_cancelled(tell).await) }
        });
        let sync = tasks.spawn({
            let stop = stop.clone();
            async move {
                let ended = live.run(&client, stop.clone()).await;
                stop.cancel();
                ended
            }
        });
        Ok((Self { desk, tasks, sync, stop }, told))
    }

    /// The vault, as the commands use it.
    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// What is to be over before the vault is closed.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Stops everything, and waits until it has.
    ///
    /// # Errors
    /// What ended the live sync.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        match self.sync.await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(Failure::new(Exit::Other, "internal", "the live sync broke off: start again")),
        }
    }
}

async fn serve(bound: Bound, desk: Arc<Desk>, stop: CancellationToken, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(accepted) = stop.run_until_cancelled(bound.listener.accept()).await {
        let Ok((stream, _)) = accepted else { continue };
        let Ok(place) = places.clone().try_acquire_owned() else {
            // Dropped: whoever asked tries again until it gives up.
            continue;
        };
        let (desk, stop, works) = (desk.clone(), stop.clone(), tasks.clone());
        tasks.spawn(async move {
            // A connection that fails has nobody left to tell.
            let _ = stop.run_until_cancelled(converse(stream, desk, &works)).await;
            drop(place);
        });
    }
}

/// Serves one connection: requests one behind the other. A command ends with the conversation in which it was asked.
async fn converse(stream: UnixStream, desk: Arc<Desk>, works: &TaskTracker) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let order: Order = match socket::read(&mut read).await {
            Ok(Some(order)) => order,
            Ok(None) => return Ok(()),
            Err(error) => {
                let message =
                    format!("cannot read the request: {error}; use the posthouse program of this version");
                return socket::write(&mut write, &Reply::Failed(Failure::usage("malformed", message))).await;
            }
        };
        let (lines, items) = Lines::channel();
        let desk = desk.clone();
        let work = works.spawn(async move { cmd::execute(&desk, order, &lines).await });
        let work = AbortOnDropHandle::new(work);
        answer(items, &mut read, &mut write).await?;
        let last = match work.await {
            Ok(Ok(())) => Reply::Done,
            Ok(Err(failure)) => Reply::Failed(failure),
            Err(_) => {
                Reply::Failed(Failure::new(Exit::Other, "internal", "the command broke off: see the log"))
            }
        };
        socket::write(&mut write, &last).await?;
    }
}

/// Hands on what a command says, until it has ended or the asker has gone.
async fn answer(
    mut items: Receiver<Item>,
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
) -> std::io::Result<()> {
    loop {
        tokio::select! {
            item = items.recv() => match item {
                Some(Item::Line(line)) => socket::write(write, &Reply::Line(line)).await?,
                Some(Item::Export(text)) => socket::write(write, &Reply::Export(text)).await?,
                Some(Item::Confirm(shown)) => {
                    socket::write(write, &Reply::Confirm).await?;
                    let Some(Shown::Shown) = socket::read(read).await? else {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    };
                    // Whoever wanted to know may have gone.
                    let _ = shown.send(());
                }
                None => return Ok(()),
            },
            // An asker says nothing more before it is answered: this is its going, or a breach that ends the conversation.
            _ = read.fill_buf() => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (BufReader<UnixStream>, BufReader<OwnedReadHalf>, OwnedWriteHalf) {
        let (asker, stream) = UnixStream::pair().unwrap();
        let (read, write) = stream.into_split();
        (BufReader::new(asker), BufReader::new(read), write)
    }

    #[tokio::test]
    async fn what_is_to_be_shown_is_confirmed_by_the_asker() {
        let (mut asker, mut read, mut write) = pair().await;
        let (lines, items) = Lines::channel();
        let work = async move {
            lines.line(Line::CaughtUp).await.unwrap();
            lines.shown().await
        };
        let ask = async {
            let first = socket::read(&mut asker).await.unwrap();
            assert!(matches!(first, Some(Reply::Line(Line::CaughtUp))));
            assert!(matches!(socket::read(&mut asker).await.unwrap(), Some(Reply::Confirm)));
            socket::write(&mut asker, &Shown::Shown).await.unwrap();
        };
        let (worked, answered, ()) = tokio::join!(work, answer(items, &mut read, &mut write), ask);
        assert!(worked.is_ok() && answered.is_ok());
    }

    #[tokio::test]
    async fn an_asker_who_goes_has_been_shown_nothing() {
        let (mut asker, mut read, mut write) = pair().await;
        let (lines, items) = Lines::channel();
        let work = async move { lines.shown().await };
        let leave = async move {
            assert!(matches!(socket::read(&mut asker).await.unwrap(), Some(Reply::Confirm)));
        };
        let (worked, answered, ()) = tokio::join!(work, answer(items, &mut read, &mut write), leave);
        assert!(worked.is_err_and(|failure| failure.is_pipe_closed()) && answered.is_err());
    }
}
