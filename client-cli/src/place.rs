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
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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
    let gone = |error: std::io::Error| {
        let message = format!("the running `listen` went away in the middle: {error}; run the command again");
        Failure::new(Exit::Other, "listener-gone", message)
    };
    socket::write(stream, order).await.map_err(gone)?;
    loop {
        match socket::read(stream).await.map_err(gone)? {
            Some(Reply::Line(line)) => show(Item::Line(line), output)?,
            Some(Reply::Export(text)) => show(Item::Export(text), output)?,
            // Everything before it was shown by then: `show` returns when it has.
            Some(Reply::Confirm) => socket::write(stream, &Shown::Shown).await.map_err(gone)?,
            Some(Reply::Done) => return Ok(()),
            Some(Reply::Failed(failure)) => return Err(failure),
            None => {
                let message =
                    "the running `listen` ended before it was done with this: run the command again";
                return Err(Failure::new(Exit::Other, "listener-gone", message));
            }
        }
    }
}
