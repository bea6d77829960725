//! What is asked of an open vault, by a command of this process or through the socket of a running `listen`.

use std::path::PathBuf;
use std::time::Duration;

use posthouse_spec::{Alias, Millis};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroize as _;

use crate::args::history::{Format, Keep};
use crate::failure::Failure;
use crate::line::Line;
use crate::room_request::RoomRequest;

/// Lines on their way to the output that may wait, items.
pub(crate) const PENDING_LINES: usize = 256;

/// A request and how to go about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// What is asked.
    #[serde(flatten)]
    pub(crate) request: Request,
    /// How to go about it.
    #[serde(flatten)]
    pub(crate) pace: Pace,
}

/// How long to try, and whether at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// How long to try to reach the relay, milliseconds.
    pub(crate) timeout_ms: u64,
    /// Does not ask the relay.
    pub(crate) offline: bool,
}

impl Pace {
    pub(crate) fn timeout(self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Sends texts, in this order.
    Send {
        /// To whom: an alias, or a room.
        to: String,
        /// The texts.
        texts: Vec<String>,
    },
    /// Tells what happens, until the asker goes.
    Listen,
    /// Unread messages.
    Inbox {
        /// Whether they are read once they were shown.
        #[serde(default)]
        mark_read: bool,
    },
    /// Notes that messages were read.
    MarkRead {
        /// Their places in the vault.
        locals: Vec<u64>,
    },
    /// The rooms.
    Rooms,
    /// A conversation.
    History {
        /// With whom, or a room.
        with: String,
        /// At most so many.
        limit: Option<u64>,
        /// Only before this place.
        before: Option<u64>,
        /// Only behind this place.
        #[serde(default)]
        after: Option<u64>,
    },
    /// Who owns the vault.
    Whoami,
    /// The safety number with somebody.
    Verify {
        /// With whom.
        alias: Alias,
    },
    /// Who asks to talk.
    Requests,
    /// Accepts somebody.
    Accept {
        /// Whom.
        alias: Alias,
    },
    /// Blocks somebody.
    Block {
        /// Whom.
        alias: Alias,
    },
    /// Messages with a text.
    Search {
        /// The text.
        text: String,
        /// In which conversation.
        with: Option<String>,
        /// Only sent at this time or later.
        since: Option<Millis>,
        /// Only sent before this time.
        until: Option<Millis>,
        /// Only before this place.
        before: Option<u64>,
        /// Only behind this place.
        after: Option<u64>,
        /// At most so many.
        limit: u64,
    },
    /// How long a conversation is kept.
    Retention {
        /// With whom, or a room.
        with: String,
        /// What is set, if anything is.
        keep: Option<Keep>,
    },
    /// All messages.
    Export {
        /// The form.
        #[serde(default)]
        format: Format,
        /// The file into which the asker puts them, to be told at the end.
        #[serde(default)]
        file: Option<String>,
        /// Only those behind this place, where they are JSON lines.
        #[serde(default)]
        after: u64,
    },
    /// Takes an export back.
    Import {
        /// The file.
        file: PathBuf,
        /// Leaves bad lines out.
        skip_bad: bool,
    },
    /// Writes a backup.
    BackupCreate {
        /// The file.
        file: PathBuf,
    },
    /// Proves that a backup restores.
    BackupVerify {
        /// The file.
        file: PathBuf,
    },
    /// Lets the vault learn to which key backups are sealed.
    LearnWords {
        /// The 24 words.
        words: Words,
    },
    /// Something of a room of many.
    #[serde(untagged)]
    Room(RoomRequest),
}

/// The words of a recovery code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Words(pub(crate) String);

impl Drop for Words {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Words(secret)")
    }
}

/// One piece of an answer.
#[derive(Debug)]
pub(crate) enum Item {
    /// A line to be shown.
    Line(Line),
    /// A line of an export, as it is.
    Export(String),
    /// To be answered once everything before it was shown.
    Confirm(oneshot::Sender<()>),
}

/// Where answers go.
#[derive(Debug, Clone)]
pub(crate) struct Lines(mpsc::Sender<Item>);

impl Lines {
    /// A bounded way from a command to its output.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Item>) {
        let (sender, receiver) = mpsc::channel(PENDING_LINES);
        (Self(sender), receiver)
    }

    /// Hands on a piece of an answer.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) async fn item(&self, item: Item) -> Result<(), Failure> {
        self.0.send(item).await.map_err(|_| Failure::pipe_closed())
    }

    /// Hands on a line.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) async fn line(&self, line: Line) -> Result<(), Failure> {
        self.item(Item::Line(line)).await
    }

    /// Waits until everything that was handed on has been shown.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) async fn shown(&self) -> Result<(), Failure> {
        let (shown, seen) = oneshot::channel();
        self.item(Item::Confirm(shown)).await?;
        seen.await.map_err(|_| Failure::pipe_closed())
    }

    /// Says that something did not work while the command goes on.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) async fn warn(&self, code: &str, message: impl Into<String>) -> Result<(), Failure> {
        self.line(Line::Warning { code: code.to_owned(), message: message.into() }).await
    }

    /// Hands on a line of an export from code that cannot wait otherwise.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) fn export_blocking(&self, text: String) -> Result<(), Failure> {
        let hand_on = || self.0.blocking_send(Item::Export(text)).map_err(|_| Failure::pipe_closed());
        tokio::task::block_in_place(hand_on)
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}
