//! `send`: stores texts, then tries for a while to bring them to the relay.
//!
//! What could not go out stays in the vault as an intent, is told as `queued`, and goes out with the next command that
//! connects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use posthouse_client::{Category, ClientError, Event, Message, Until};
use posthouse_spec::room::RoomKind;
use posthouse_spec::{Alias, RoomId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::anew::look_again;
use crate::desk::{Desk, Link, Live, PENDING_EVENTS, at_most};
use crate::failure::Failure;
use crate::line::{Line, SentLine, SentState};
use crate::request::{Lines, Pace};
use crate::which;

pub(crate) async fn execute(
    desk: &Desk,
    to: &str,
    texts: &[String],
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    let mut post = Post {
        desk,
        to: Addressee::find(desk, to, pace, lines).await?,
        lines,
        waiting: BTreeSet::new(),
        codes: HashMap::new(),
        told: HashSet::new(),
        lost: None,
    };
    // Before anything is stored, so that no event about it is missed.
    let live = desk.is_live().map(|live| (live, live.events()));
    let stored = post.store(texts, pace).await;
    if post.waiting.is_empty() {
        return stored;
    }
    let why = match live {
        Some((live, mut events)) => post.watch(live, &mut events, pace).await?,
        None => post.carry(pace).await?,
    };
    post.tell_rest(why).await?;
    stored?;
    match post.lost {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// To whom a message goes.
enum Addressee {
    Person(Alias),
    Room(RoomId),
}

impl Addressee {
    async fn find(desk: &Desk, named: &str, pace: Pace, lines: &Lines) -> Result<Self, Failure> {
        if named.contains('@') {
            return Ok(Self::Person(named.parse().map_err(ClientError::from)?));
        }
        let room = which::room(desk, named, pace, lines).await?;
        Ok(match room.peer.and_then(|peer| peer.alias) {
            Some(alias) if room.kind == RoomKind::Direct => Self::Person(alias),
            _ => Self::Room(room.room),
        })
    }
}

impl fmt::Display for Addressee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(alias) => alias.fmt(f),
            Self::Room(room) => room.fmt(f),
        }
    }
}

/// Why messages still wait, if something is known.
struct Obstacle {
    code: String,
    reason: String,
    /// Trouble that no waiting mends.
    fatal: bool,
}

/// Messages on their way.
struct Post<'a> {
    desk: &'a Desk,
    to: Addressee,
    lines: &'a Lines,
    /// Stored, and not told as accepted or failed yet.
    waiting: BTreeSet<u64>,
    /// Why messages failed, by their stable names.
    codes: HashMap<u64, String>,
    /// Warnings that need not be said again.
    told: HashSet<String>,
    /// The first failure of a message.
    lost: Option<Failure>,
}

impl Post<'_> {
    async fn store(&mut self, texts: &[String], pace: Pace) -> Result<(), Failure> {
        for text in texts {
            let local = match self.store_one(text).await {
                Err(error) => {
                    look_again(self.desk, error, pace, self.lines).await?;
                    self.store_one(text).await?
                }
                Ok(local) => local,
            };
            self.waiting.insert(local);
        }
        Ok(())
    }

    async fn store_one(&self, text: &str) -> Result<u64, ClientError> {
        let client = self.desk.client();
        Ok(match &self.to {
            Addressee::Person(alias) => client.send(alias, text).await?.local,
            Addressee::Room(room) => client.send_to_room(room, text).await?.local,
        })
    }

    /// Syncs as long as it gets on.
    async fn carry(&mut self, pace: Pace) -> Result<Option<Obstacle>, Failure> {
        loop {
            let before = self.waiting.len();
            let (events, mut seen) = mpsc::channel(PENDING_EVENTS);
            let sync = self.desk.client().sync(Until::Idle { timeout: pace.timeout() }, events);
            let note = async {
                while let Some(event) = seen.recv().await {
                    self.note(event).await?;
                }
                Ok::<(), Failure>(())
            };
            let (report, noted) = tokio::join!(sync, note);
            noted?;
            match report {
                Ok(report) => {
                    let left = report.left.iter().find(|left| self.waiting.contains(&left.local));
                    let reason = left.and_then(|left| left.reason.clone());
                    if self.waiting.is_empty() || self.waiting.len() == before || reason.is_some() {
                        return Ok(reason.map(|reason| Obstacle {
                            code: "waiting".to_owned(),
                            reason,
                            fatal: false,
                        }));
                    }
                }
                Err(error) => {
                    let fatal = matches!(error.category(), Category::Auth | Category::Vault);
                    return Ok(Some(Obstacle {
                        code: error.code().to_owned(),
                        reason: error.to_string(),
                        fatal,
                    }));
                }
            }
        }
    }

    /// Watches the live sync as long as it gets on.
    async fn watch(
        &mut self,
        live: &Live,
        events: &mut tokio::sync::broadcast::Receiver<Event>,
        pace: Pace,
    ) -> Result<Option<Obstacle>, Failure> {
        let mut link = live.link();
        while !self.waiting.is_empty() {
            let next = async {
                tokio::select! {
                    biased;
                    event = events.recv() => Ok(event),
                    down = link.wait_for(|link| matches!(link, Link::Down { .. })) => {
                        Err(down.map(|link| link.clone()))
                    }
                }
            };
            match at_most(pace.timeout(), next).await {
                Some(Ok(Ok(event))) => self.note(event).await?,
                Some(Ok(Err(RecvError::Lagged(_)))) => self.look_up().await?,
                Some(Err(Ok(Link::Down { reason }))) => {
                    return Ok(Some(Obstacle { code: "relay-not-running".to_owned(), reason, fatal: false }));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Takes note of an event that may be about one of these messages.
    async fn note(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Accepted { local, .. } if self.waiting.contains(&local) => self.look_up_one(local).await,
            Event::Failed { local, code, .. } if self.waiting.contains(&local) => {
                self.codes.insert(local, code);
                self.look_up_one(local).await
            }
            Event::Notice(notice) => match self.told.insert(notice.detail.clone()) {
                true => self.lines.warn(&notice.code, notice.detail).await,
                false => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn look_up(&mut self) -> Result<(), Failure> {
        for local in self.waiting.clone() {
            self.look_up_one(local).await?;
        }
        Ok(())
    }

    /// Tells what became of a message, if it is settled.
    async fn look_up_one(&mut self, local: u64) -> Result<(), Failure> {
        let message = self.desk.client().message(local).await?;
        if SentState::from(message.state) == SentState::Queued {
            return Ok(());
        }
        self.tell(message, None).await
    }

    /// Tells of those that are not settled, and once why.
    async fn tell_rest(&mut self, obstacle: Option<Obstacle>) -> Result<(), Failure> {
        let mut known = None;
        for local in self.waiting.clone() {
            let message = self.desk.client().message(local).await?;
            known = known.or_else(|| message.reason.clone());
            self.tell(message, obstacle.as_ref()).await?;
        }
        if self.lost.is_some() {
            return Ok(());
        }
        match obstacle {
            Some(Obstacle { code, reason, fatal: true }) => {
                self.lost = Some(Failure::undelivered(&code, reason));
            }
            Some(Obstacle { code, reason, .. }) => self.lines.warn(&code, self.waits(&reason)).await?,
            None => {
                if let Some(reason) = known {
                    self.lines.warn("waiting", self.waits(&reason)).await?;
                }
            }
        }
        Ok(())
    }

    async fn tell(&mut self, message: Message, obstacle: Option<&Obstacle>) -> Result<(), Failure> {
        let local = message.local;
        self.waiting.remove(&local);
        let state = SentState::from(message.state);
        let waits = obstacle.filter(|_| state == SentState::Queued);
        let code = self.codes.remove(&local).or_else(|| waits.map(|obstacle| obstacle.code.clone()));
        let reason = message.reason.or_else(|| waits.map(|obstacle| obstacle.reason.clone()));
        if state == SentState::Failed && self.lost.is_none() {
            let why = reason.clone().unwrap_or_else(|| "the relay did not take it".to_owned());
            let what = format!("could not send to {}: {why}", self.to);
            self.lost = Some(Failure::undelivered(code.as_deref().unwrap_or("refused"), what));
        }
        let (to, room, id) = (self.to.to_string(), message.room, message.id);
        self.lines.line(Line::Sent(SentLine { local, to, room, state, id, code, reason })).await
    }

    fn waits(&self, reason: &str) -> String {
        let why = if self.told.contains(reason) { String::new() } else { format!(": {reason}") };
        format!("not sent yet{why}. It goes out with the next command that connects")
    }
}
