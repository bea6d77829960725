//! What a vault holds, as the world outside sees it. The field names are stable: they are the JSON of the program.

use std::str::FromStr;

use posthouse_spec::room::{Role, RoomKind, Suite};
use posthouse_spec::{AccountId, Alias, DeviceId, Domain, Epoch, MessageId, Millis, RoomId};
use serde::{Deserialize, Serialize};

use crate::error::ClientError;
use crate::group::{MessageKind, RoomNews};
use crate::words;

/// Who owns the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    /// The alias.
    pub alias: Alias,
    /// The account.
    pub account: AccountId,
    /// This device.
    pub device: DeviceId,
    /// The relay's domain.
    pub domain: Domain,
    /// Where the relay is reached.
    pub relay_url: String,
    /// When this vault registered.
    pub registered: Millis,
    /// When this vault was brought back from a backup; its device is not enrolled since, and only reads.
    #[serde(default)]
    pub restored: Option<Millis>,
}

/// Somebody, as far as this vault knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRef {
    /// The alias by which they are known here, if there is one.
    pub alias: Option<Alias>,
    /// The account.
    pub account: AccountId,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From somebody else.
    In,
    /// From this account.
    Out,
}

/// What became of a message so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// Own: stored, and sent as soon as there is a connection and a room.
    Queued,
    /// Own: sealed for its room and on the way to the relay.
    Sealed,
    /// Own: durable at the relay.
    Accepted,
    /// Own: not delivered, or not to everybody; the reason says why.
    Failed,
    /// Theirs: opened.
    Received,
    /// Theirs: could not be opened; the reason says why.
    Undecryptable,
}

impl MessageState {
    /// The stable name, as JSON and the vault have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sealed => "sealed",
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Received => "received",
            Self::Undecryptable => "undecryptable",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Sealed, Self::Accepted, Self::Failed, Self::Received, Self::Undecryptable]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its place in this vault: later is larger, across all conversations.
    pub local: u64,
    /// Its id, the same for everybody in the room; absent until it is sealed, and where it could not be opened.
    pub id: Option<MessageId>,
    /// The room; absent while there is none.
    pub room: Option<RoomId>,
    /// What the room is called now, where it has a name.
    pub room_name: Option<String>,
    /// With whom the conversation is.
    pub peer: Option<Alias>,
    /// With whom it is, by account.
    #[serde(default)]
    pub peer_account: Option<AccountId>,
    /// Who wrote it, by alias; absent where that could not be told.
    pub sender: Option<Alias>,
    /// Who wrote it, by account.
    pub account: Option<AccountId>,
    /// Which way it went.
    pub direction: Direction,
    /// Own: when it was written. Theirs: when the relay took it.
    pub sent: Millis,
    /// Theirs: when this vault stored it.
    pub received: Option<Millis>,
    /// The text; absent where the message is of a kind that this version does not show, or could not be opened.
    pub text: Option<String>,
    /// What became of it.
    pub state: MessageState,
    /// Why it waits, failed or could not be opened.
    pub reason: Option<String>,
    /// Whether nobody has read it yet.
    pub unread: bool,
    /// Whether it was imported from a file: then all of it is only what that file says.
    #[serde(default)]
    pub imported: bool,
    /// What it is: what somebody said, or what happened in the room.
    #[serde(default)]
    pub kind: MessageKind,
    /// What happened in the room; the text says it in words.
    #[serde(default)]
    pub news: Option<RoomNews>,
}

/// A message that was stored to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its place in this vault, by which events speak of it.
    pub local: u64,
    /// For whom it is.
    pub to: Alias,
    /// What became of it so far.
    pub state: MessageState,
}

/// A message that was stored to be sent to a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentToRoom {
    /// Its place in this vault, by which events speak of it.
    pub local: u64,
    /// The room.
    pub room: RoomId,
    /// What became of it so far.
    pub state: MessageState,
}

/// Whether a room can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoomState {
    /// Being founded: the hub has not decided on its first members yet.
    Founding,
    /// In use.
    Active,
    /// It cannot go on; the reason says why.
    Broken,
    /// This account left it: nothing more of it is shown.
    Left,
    /// Somebody removed this device from it; the reason says who.
    Removed,
}

impl RoomState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Founding => "founding",
            Self::Active => "active",
            Self::Broken => "broken",
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Founding, Self::Active, Self::Broken, Self::Left, Self::Removed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A room in a list of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// The room.
    pub room: RoomId,
    /// What it is for.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::kind")]
    pub kind: RoomKind,
    /// Whether it can be used.
    pub state: RoomState,
    /// The other one of a direct room.
    pub peer: Option<PeerRef>,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// How many people are in it.
    pub members: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its ciphersuite.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::suite")]
    pub suite: Suite,
    /// The relay that orders its changes.
    pub hub: Domain,
    /// Messages that nobody has read.
    pub unread: u64,
    /// The last message.
    pub last: Option<Message>,
    /// Why it cannot go on.
    pub reason: Option<String>,
    /// After how many days its messages are deleted from this vault, if ever.
    #[serde(default)]
    pub retention_days: Option<u64>,
}

/// Who may do what in a room, and who may not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRules {
    /// The least role that writes.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
    pub write: Role,
    /// The least role that adds members.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
    pub add: Role,
    /// The least role that changes name, picture and settings.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::role")]
    pub change: Role,
    /// Who is not taken in.
    pub banned: Vec<PeerRef>,
}

/// Unread messages of one conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The room.
    pub room: Option<RoomId>,
    /// With whom.
    pub peer: Option<Alias>,
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

/// Somebody who is no contact wants to talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How they call themselves.
    pub alias: Alias,
    /// Who they are.
    pub account: AccountId,
    /// The room to which they invite.
    pub room: RoomId,
    /// What that room is for; its name is not known before it is joined.
    #[serde(serialize_with = "words::as_text", deserialize_with = "words::kind")]
    pub kind: RoomKind,
    /// When the relay took the invitation.
    pub received: Millis,
    /// Whether their relay confirmed that the alias is theirs; until then it is only what they say.
    pub verified: bool,
    /// How many messages wait unopened.
    pub waiting: u64,
    /// Why it could not be confirmed or joined yet.
    pub reason: Option<String>,
}

/// What two people compare to know that nobody stands between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyNumber {
    /// The other one.
    pub alias: Alias,
    /// Their account.
    pub account: AccountId,
    /// 60 digits in groups of 5.
    pub number: String,
    /// Whether the alias stood for another account before: `accept` takes this one for it.
    pub changed: bool,
}

/// Names a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversation {
    /// By its room.
    Room(RoomId),
    /// By the one with whom it is: all direct rooms with them, and what waits for one.
    With(Alias),
}

impl FromStr for Conversation {
    type Err = ClientError;
    fn from_str(text: &str) -> Result<Self, ClientError> {
        if !text.contains('@')
            && let Ok(room) = text.parse()
        {
            return Ok(Self::Room(room));
        }
        Ok(Self::With(text.parse()?))
    }
}

/// Which part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Page {
    /// Only messages behind this place.
    pub after: Option<u64>,
    /// Only messages before this place.
    pub before: Option<u64>,
    /// At most this many, oldest first: the last ones of those that match, but with `after` alone the first ones, so that
    /// one can page both ways.
    pub limit: Option<u64>,
}
