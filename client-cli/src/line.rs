//! What the program prints: one value a line, the same through the socket of a running `listen`.
//!
//! As JSON a line is an object whose `type` names it; the README lists types and fields, which are stable.

use posthouse_client::{
    ChangeStatus, Message, MessageState, Notice, PeerRef, Report, Request, RoomMember, RoomProfile,
    RoomRules, RoomSummary, SafetyNumber, Whoami,
};
use posthouse_spec::{AccountId, Alias, DeviceId, MessageId, RoomId};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// `register`: the account stands.
    Registered(Registered),
    /// `send`: what became of a message.
    Sent(SentLine),
    /// `history`, `inbox`, `listen`: a message.
    Message(Box<Message>),
    /// `rooms`: a room.
    Room(Box<RoomSummary>),
    /// `room create`: the room, and what became of those who are to come into it.
    RoomCreated(RoomCreated),
    /// `room show`.
    RoomDetails(Box<RoomDetails>),
    /// `room rename`, `room describe`, `room picture`: what the room says of itself now.
    RoomProfile(ProfileLine),
    /// `room leave`.
    RoomLeft {
        /// The room.
        room: RoomId,
    },
    /// `whoami`.
    Identity(Whoami),
    /// `verify`.
    SafetyNumber(SafetyNumber),
    /// `requests`, `listen`: somebody asks to talk.
    Request(Request),
    /// `accept`, `block`: how somebody stands now.
    Contact(Contact),
    /// `export` to a file.
    Exported {
        /// The file.
        file: String,
        /// How many messages.
        messages: u64,
    },
    /// `search`: there may be more.
    More {
        /// Look on before this place.
        before: Option<u64>,
        /// Look on behind this place.
        after: Option<u64>,
    },
    /// `retention`: how long a conversation is kept.
    Retention {
        /// Which one, as it was named.
        with: String,
        /// For how many days; for ever where absent.
        days: Option<u64>,
        /// How many messages were deleted, where it was set.
        deleted: Option<u64>,
    },
    /// `import`.
    Imported {
        /// The file.
        file: String,
        /// Messages that are new here.
        added: u64,
        /// Messages that were here already.
        known: u64,
        /// Bad lines that were left out.
        skipped: u64,
    },
    /// `backup`.
    Backup(BackupLine),
    /// `listen` has begun.
    Listening {
        /// Whether this process owns the vault; else it follows one that does.
        owner: bool,
    },
    /// `listen`: the relay took us in.
    Connected {
        /// Where it is.
        relay_url: String,
    },
    /// `listen`: the connection is gone.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt is made, milliseconds from now.
        retry_in_ms: u64,
    },
    /// `listen`: everything that waited at the relay is in the vault.
    CaughtUp,
    /// `listen`: an own message is a step further.
    Delivery(Delivery),
    /// `listen`: a room was founded or joined, or its members changed.
    RoomChanged {
        /// The room.
        room: RoomId,
        /// The other one of a direct room.
        peer: Option<Alias>,
        /// What the room is called, where it has a name.
        name: Option<String>,
    },
    /// `room add` and the like, `listen`: a wanted change of a room was done or refused, or waits.
    Change(ChangeStatus),
    /// Something that a person should know of.
    Notice(Notice),
    /// Something did not work, and the command went on without it; printed to standard error.
    Warning {
        /// The stable name.
        code: String,
        /// What was tried, why it failed, what to do.
        message: String,
    },
}

/// What was done with a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupLine {
    /// What was done.
    pub(crate) done: Done,
    /// The file.
    pub(crate) file: String,
    /// What it holds.
    #[serde(flatten)]
    pub(crate) report: Report,
}

/// What was done with a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Done {
    /// It was written.
    Written,
    /// It was found to restore.
    Verified,
    /// It was brought back.
    Restored,
}

/// An account that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registered {
    /// The alias.
    pub(crate) alias: Alias,
    /// The account.
    pub(crate) account: AccountId,
    /// This device.
    pub(crate) device: DeviceId,
    /// Where the relay is.
    pub(crate) relay_url: String,
    /// The 24 words.
    pub(crate) recovery_code: String,
}

/// A room that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomCreated {
    /// The room.
    pub(crate) room: RoomId,
    /// Its name.
    pub(crate) name: String,
    /// Whether only admins and owners write in it.
    pub(crate) announcement: bool,
    /// What became of those who are to come into it.
    pub(crate) changes: Vec<ChangeStatus>,
}

/// All of one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomDetails {
    /// What `rooms` tells of it.
    #[serde(flatten)]
    pub(crate) room: RoomSummary,
    /// What it is about.
    pub(crate) description: String,
    /// Whether it has a picture.
    pub(crate) has_picture: bool,
    /// Who may do what, and who is not taken in.
    pub(crate) rules: Option<RoomRules>,
    /// Who is in it, owners first.
    pub(crate) people: Vec<RoomMember>,
    /// Changes that wait, oldest first.
    pub(crate) changes: Vec<ChangeStatus>,
}

/// What a room says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProfileLine {
    /// The room.
    pub(crate) room: RoomId,
    /// Its name, description and picture.
    #[serde(flatten)]
    pub(crate) profile: RoomProfile,
}

/// What became of a message that `send` stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentLine {
    /// Its place in the vault.
    pub(crate) local: u64,
    /// For whom it is: an alias, or the id of a room of many.
    pub(crate) to: String,
    /// Its room, where there is one.
    pub(crate) room: Option<RoomId>,
    /// `queued`: kept for the next command that connects; `accepted`: the relay has it; `failed`.
    pub(crate) state: SentState,
    /// Its id, once it is sealed.
    pub(crate) id: Option<MessageId>,
    /// Why it waits or failed, by its stable name.
    pub(crate) code: Option<String>,
    /// Why it waits or failed.
    pub(crate) reason: Option<String>,
}

/// What became of a message, as `send` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SentState {
    /// Stored; it goes out with the next command that connects.
    Queued,
    /// Durable at the relay.
    Accepted,
    /// Not delivered.
    Failed,
}

impl From<MessageState> for SentState {
    fn from(state: MessageState) -> Self {
        match state {
            MessageState::Accepted => Self::Accepted,
            MessageState::Failed => Self::Failed,
            _ => Self::Queued,
        }
    }
}

/// How somebody stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    /// `accepted` or `blocked`.
    pub(crate) state: Standing,
    /// Who.
    #[serde(flatten)]
    pub(crate) peer: PeerRef,
}

/// How somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// A contact.
    Accepted,
    /// Blocked.
    Blocked,
}

/// A step of an own message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Its place in the vault.
    pub(crate) local: u64,
    /// `sealed`, `accepted` or `failed`.
    pub(crate) state: MessageState,
    /// Its room, where there is one.
    pub(crate) room: Option<RoomId>,
    /// Why it failed, by its stable name.
    pub(crate) code: Option<String>,
    /// Why it failed.
    pub(crate) reason: Option<String>,
}
