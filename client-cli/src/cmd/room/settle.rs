//! Waiting until wishes are decided, or until it is known for what they wait.

use std::collections::{BTreeMap, HashSet};

use posthouse_client::{Category, ChangeState, ChangeStatus, Client, ClientError, Event, Until};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::desk::{Desk, Link, Live, PENDING_EVENTS};
use crate::failure::Failure;
use crate::request::{Lines, Pace};

/// What happens from now on. It begins before anything is wished, so that no event about it is missed.
pub(super) struct Watch<'a> {
    client: &'a Client,
    live: Option<(&'a Live, Receiver<Event>)>,
}

impl<'a> Watch<'a> {
    pub(super) fn begin(desk: &'a Desk) -> Self {
        Self { client: desk.client(), live: desk.is_live().map(|live| (live, live.events())) }
    }
}

/// Waits for what becomes of `noted`; what still waits in the end has a reason.
///
/// # Errors
/// The vault fails, or the relay does not take us for who we say we are.
pub(super) async fn settle(
    watch: Watch<'_>,
    noted: Vec<ChangeStatus>,
    pace: Pace,
    lines: &Lines,
) -> Result<Vec<ChangeStatus>, Failure> {
    if noted.is_empty() {
        return Ok(noted);
    }
    let client = watch.client;
    let mut wishes = Wishes(noted.into_iter().map(|status| (status.id, status)).collect());
    let obstacle = match watch.live {
        Some((live, mut events)) => wishes.follow(client, live, &mut events, pace).await?,
        None => carry_with(client, pace, lines, |status| wishes.note(status)).await?,
    };
    wishes.look_up(client).await?;
    let reason = match &obstacle {
        Some(_) => format!("waiting for {}", client.whoami().await?.domain),
        None => format!("not decided within {} s", pace.timeout().as_secs()),
    };
    let mut kept = false;
    for status in wishes.0.values_mut().filter(|status| is_open(status)) {
        status.reason.get_or_insert_with(|| reason.clone());
        kept = true;
    }
    if kept {
        let message =
            "what is kept goes on with the next command that connects; `room show` tells how it stands";
        lines.warn("waiting", message).await?;
    }
    Ok(wishes.0.into_values().collect())
}

/// Brings what waits to the relay; says so where it cannot.
///
/// # Errors
/// As for [`settle`].
pub(super) async fn carry(desk: &Desk, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    let obstacle = match desk.is_live() {
        Some(live) => match &*live.link().borrow() {
            Link::Down { reason } => Some(reason.clone()),
            _ => None,
        },
        None => carry_with(desk.client(), pace, lines, drop).await?,
    };
    match obstacle {
        Some(reason) => {
            let message = format!("not sent yet: {reason}. It goes out with the next command that connects");
            lines.warn("waiting", message).await
        }
        None => Ok(()),
    }
}

/// One sync; returns what stood in its way.
async fn carry_with(
    client: &Client,
    pace: Pace,
    lines: &Lines,
    mut note: impl FnMut(ChangeStatus),
) -> Result<Option<String>, Failure> {
    let (events, mut seen) = mpsc::channel(PENDING_EVENTS);
    let sync = client.sync(Until::Idle { timeout: pace.timeout() }, events);
    let telling = async {
        let mut told = HashSet::new();
        while let Some(event) = seen.recv().await {
            match event {
                Event::Change(status) => note(status),
                Event::Notice(notice) if told.insert(notice.detail.clone()) => {
                    lines.warn(&notice.code, notice.detail).await?;
                }
                _ => {}
            }
        }
        Ok::<(), Failure>(())
    };
    let (report, told) = tokio::join!(sync, telling);
    told?;
    match report {
        Ok(_) => Ok(None),
        Err(error) if is_fatal(&error) => Err(error.into()),
        Err(error) => Ok(Some(error.to_string())),
    }
}

fn is_fatal(error: &ClientError) -> bool {
    matches!(error.category(), Category::Auth | Category::Vault)
}

fn is_open(status: &ChangeStatus) -> bool {
    matches!(status.state, ChangeState::Waiting | ChangeState::Deciding)
}

/// Wishes by their places.
struct Wishes(BTreeMap<u64, ChangeStatus>);

impl Wishes {
    fn note(&mut self, status: ChangeStatus) {
        if let Some(known) = self.0.get_mut(&status.id) {
            *known = status;
        }
    }

    /// Whether nothing more is to be waited for: all are decided, or wait for something that is named.
    fn is_settled(&self) -> bool {
        self.0.values().all(|status| !is_open(status) || status.reason.is_some())
    }

    /// Reads how they stand. What the vault does not list any more is as it was told last.
    async fn look_up(&mut self, client: &Client) -> Result<(), Failure> {
        let rooms: HashSet<_> = self.0.values().map(|status| status.room).collect();
        for room in rooms {
            for status in client.changes(&room).await? {
                self.note(status);
            }
        }
        Ok(())
    }

    /// Watches the live sync until all is settled; returns what stands in the way.
    async fn follow(
        &mut self,
        client: &Client,
        live: &Live,
        events: &mut Receiver<Event>,
        pace: Pace,
    ) -> Result<Option<String>, Failure> {
        let deadline = Instant::now() + pace.timeout();
        let mut link = live.link();
        while !self.is_settled() {
            let next = async {
                tokio::select! {
                    biased;
                    event = events.recv() => Ok(event),
                    down = link.wait_for(|link| matches!(link, Link::Down { .. })) => {
                        Err(down.map(|link| link.clone()))
                    }
                }
            };
            match timeout_at(deadline, next).await {
                Ok(Ok(Ok(Event::Change(status)))) => {
                    self.note(status);
                    // One that waits behind another is told of by no event of its own.
                    if self.0.values().any(|status| status.reason.is_some()) {
                        self.look_up(client).await?;
                    }
                }
                Ok(Ok(Ok(_))) => {}
                Ok(Ok(Err(RecvError::Lagged(_)))) => self.look_up(client).await?,
                Ok(Err(Ok(Link::Down { reason }))) => return Ok(Some(reason)),
                _ => break,
            }
        }
        Ok(None)
    }
}
