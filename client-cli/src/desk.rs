//! An open vault, and how it comes by what is new: by a sync for each command, or because `listen` keeps it up to date.

use std::time::Duration;

use posthouse_client::{Category, Client, ClientError, Event, Until};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::request::{Lines, Pace};

/// Events of a sync that may wait until somebody looks at them, items.
pub(crate) const PENDING_EVENTS: usize = 1024;

/// An open vault.
pub(crate) struct Desk {
    client: Client,
    live: Option<Live>,
}

impl Desk {
    /// A vault that is synced by each command that wants it.
    pub(crate) fn on_demand(client: Client) -> Self {
        Self { client, live: None }
    }

    /// A vault that a live sync keeps up to date.
    pub(crate) fn live(client: Client, live: Live) -> Self {
        Self { client, live: Some(live) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// Brings the vault up to date, or says why it could not.
    ///
    /// # Errors
    /// The vault fails, or the relay does not take us for who we say we are. That it cannot be reached is a warning.
    pub(crate) async fn refresh(&self, pace: Pace, lines: &Lines) -> Result<(), Failure> {
        if pace.offline {
            return Ok(());
        }
        match &self.live {
            Some(live) => live.caught_up(pace, lines).await,
            None => self.sync_once(pace, lines).await,
        }
    }

    async fn sync_once(&self, pace: Pace, lines: &Lines) -> Result<(), Failure> {
        let (events, mut seen) = mpsc::channel(PENDING_EVENTS);
        let notices = async {
            while let Some(event) = seen.recv().await {
                if let Event::Notice(notice) = event {
                    lines.warn(&notice.code, notice.detail).await?;
                }
            }
            Ok::<(), Failure>(())
        };
        let sync = self.client.sync(Until::Idle { timeout: pace.timeout() }, events);
        let (report, told) = tokio::join!(sync, notices);
        told?;
        match report {
            Ok(report) if report.caught_up => Ok(()),
            Ok(_) => {
                let secs = pace.timeout().as_secs();
                let message = format!(
                    "not everything has arrived within {secs} s: run the command again, or give it a longer --timeout"
                );
                lines.warn("not-caught-up", message).await
            }
            Err(error) => warn_or_fail(error, lines).await,
        }
    }
}

/// A command goes on with what the vault holds, unless the trouble is the vault's or the account's own.
async fn warn_or_fail(error: ClientError, lines: &Lines) -> Result<(), Failure> {
    match error.category() {
        Category::Auth | Category::Vault => Err(error.into()),
        _ => lines.warn(error.code(), format!("{error}. Shown is what the vault holds")).await,
    }
}

/// How the live connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// The first connection is being made.
    Starting,
    /// The relay took us in; its mailbox is coming in.
    Up {
        /// Where it is.
        relay_url: String,
        /// Whether all that waited is in the vault.
        caught_up: bool,
    },
    /// The connection is gone.
    Down {
        /// Why.
        reason: String,
    },
}

/// A live sync, as others see it.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    events: broadcast::Sender<Event>,
    link: watch::Sender<Link>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { events: broadcast::Sender::new(PENDING_EVENTS), link: watch::Sender::new(Link::Starting) }
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// How the connection stands, and every change of it.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Keeps `client` up to date until `stop`.
    ///
    /// # Errors
    /// What ends a live sync: the vault, or a relay that will not have us.
    pub(crate) async fn run(&self, client: &Client, stop: CancellationToken) -> Result<(), ClientError> {
        let (events, mut seen) = mpsc::channel(PENDING_EVENTS);
        let hand_on = async {
            while let Some(event) = seen.recv().await {
                self.note(&event);
                // An error says that nobody listens, which is fine.
                let _ = self.events.send(event);
            }
        };
        let (report, ()) = tokio::join!(client.sync(Until::Cancelled(stop), events), hand_on);
        report.map(drop)
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Connected { relay_url } => {
                self.link.send_replace(Link::Up { relay_url: relay_url.clone(), caught_up: false });
            }
            Event::CaughtUp => self.link.send_modify(|link| {
                if let Link::Up { caught_up, .. } = link {
                    *caught_up = true;
                }
            }),
            Event::Disconnected { reason, .. } => {
                self.link.send_replace(Link::Down { reason: reason.clone() });
            }
            _ => {}
        }
    }

    async fn caught_up(&self, pace: Pace, lines: &Lines) -> Result<(), Failure> {
        let mut link = self.link();
        let settled =
            link.wait_for(|link| matches!(link, Link::Up { caught_up: true, .. } | Link::Down { .. }));
        let settled = timeout(pace.timeout(), settled).await.map(|link| link.map(|link| link.clone()));
        match settled {
            Ok(Ok(Link::Up { .. })) => Ok(()),
            Ok(Ok(Link::Down { reason })) => {
                lines.warn("relay-not-running", format!("{reason}. Shown is what the vault holds")).await
            }
            _ => {
                let message = "not everything has arrived yet: the running `listen` goes on with it";
                lines.warn("not-caught-up", message).await
            }
        }
    }
}

/// Waits for `future`, but no longer than `limit`.
pub(crate) async fn at_most<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    timeout(limit, future).await.ok()
}
