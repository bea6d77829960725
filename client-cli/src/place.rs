//! Where a command runs: on the vault itself, or in the `listen` that owns it.

use std::sync::Arc;
use std::time::Duration;

use posthouse_client::{Client, Profile};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use crate::args::Global;
use crate::cmd;
use crate::desk::Desk;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::request::{Item, Lines, Order};
use crate::socket::{self, Reply, Shown};
use crate::unlock;

/// How long to wait before looking again whether another command has given the vault back.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The stable name of a failure: who owned the vault has gone.
pub(crate) const LISTENER_GONE: &str = "listener-gone";

/// Where a command runs.
pub(crate) enum Place {
    /// This process owns the vault.
    Here(Client),
    /// A running `listen` owns it.
    There(BufReader<UnixStream>),
}

impl Place {
    /// Opens the vault, or finds who owns it. Another short command that owns it is waited for.
    ///
    /// # Errors
    /// The vault does not open, or its owner does not give it back in time.
    pub(crate) async fn find(profile: &Profile, global: &Global) -> Result<Self, Failure> {
        let deadline = Instant::now() + global.timeout();
        let mut known = unlock::given(global);
        loop {
            let connected = socket::connect(profile).await.map_err(|error| {
                let path = socket::path(profile);
                let message =
                    format!("cannot reach the running `listen` at {}: {error}; stop it", path.display());
                Failure::new(Exit::Other, "socket", message)
            })?;
            if let Some(stream) = connected {
                return Ok(Self::There(BufReader::new(stream)));
            }
            match unlock::open(profile, &mut known).await {
                Err(failure) if failure.code == "vault-busy" && Instant::now() < deadline => {
                    sleep(LOOK_AGAIN).await
                }
                other => return other.map(Self::Here),
            }
        }
    }

    /// Runs one request and shows what it says.
    ///
    /// # Errors
    /// What the command says, or the way to it.
    pub(crate) async fn run(
        &mut self,
        order: Order,
        output: &mut Output,
        show: impl FnMut(Item, &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Here(client) => run_here(client.clone(), order, output, show).await,
            Self::There(stream) => run_there(stream, &order, output, show).await,
        }
    }

    /// Gives the vault back.
    ///
    /// # Errors
    /// What the vault says.
    pub(crate) async fn leave(self) -> Result<(), Failure> {
        match self {
            Self::Here(client) => Ok(client.close().await?),
            Self::There(_) => Ok(()),
        }
    }
}

async fn run_here(
    client: Client,
    order: Order,
    output: &mut Output,
    mut show: impl FnMut(Item, &mut Output) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (lines, mut items) = Lines::channel();
    let desk = Arc::new(Desk::on_demand(client));
    // A task of its own, because an export blocks while its lines wait to be shown.
    let work = tokio::spawn(async move { cmd::execute(&desk, order, &lines).await });
    while let Some(item) = items.recv().await {
        show(item, output)?;
    }
    match work.await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(Exit::Other, "internal", "the command broke off; the vault is as it was")),
    }
}

async fn run_there(
    stream: &mut BufReader<UnixStream>,
    order: &Order,
    output: &mut Output,
    mut show: impl FnMut(Item, &mut Output) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (lines, mut items) = Lines::channel();
    let pass_on = async move { pass_on(stream, order, &lines).await };
    let showing = async move {
        while let Some(item) = items.recv().await {
            show(item, output)?;
        }
        Ok(())
    };
    let (passed, shown) = tokio::join!(pass_on, showing);
    shown.and(passed)
}

/// Asks the running `listen`, and hands on what it answers.
///
/// # Errors
/// What the command says, or that the `listen` has gone, or that nobody reads any more.
pub(crate) async fn pass_on(
    stream: &mut BufReader<UnixStream>,
    order: &Order,
    lines: &Lines,
) -> Result<(), Failure> {
    let broken = |error: std::io::Error| gone(&format!("went away in the middle: {error}"));
    socket::write(stream, order).await.map_err(broken)?;
    loop {
        let reply = tokio::select! {
            reply = socket::read(stream) => reply.map_err(broken)?,
            () = lines.closed() => return Err(Failure::pipe_closed()),
        };
        match reply {
            Some(Reply::Line(line)) => lines.line(line).await?,
            Some(Reply::Export(text)) => lines.item(Item::Export(text)).await?,
            Some(Reply::Confirm) => {
                lines.shown().await?;
                socket::write(stream, &Shown::Shown).await.map_err(broken)?;
            }
            Some(Reply::Done) => return Ok(()),
            Some(Reply::Failed(failure)) => return Err(failure),
            None => return Err(gone("ended before it was done with this")),
        }
    }
}

/// The running `listen` is not there any more.
pub(crate) fn gone(how: &str) -> Failure {
    Failure::new(Exit::Other, LISTENER_GONE, format!("the running `listen` {how}: run the command again"))
}
