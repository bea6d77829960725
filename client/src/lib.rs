//! The Posthouse client: an account's device, its encrypted vault, and its conversation with its relay.
//!
//! The story, bottom up: a [`Profile`] is a folder; the vault in it is opened with an [`Unlock`] and holds keys, rooms,
//! messages and whatever waits. A [`Client`] is an open vault. Everything that a person does is first made durable
//! there and needs no network; [`Client::sync`] carries it to the relay and brings what waits there, and tells what
//! happens as [`Event`]s. So a crash or a dead connection at any point loses nothing and shows nothing twice.

mod backup;
mod chain;
mod change;
mod client;
mod clock;
mod connection;
mod context;
mod error;
mod event;
mod group;
mod history;
mod model;
mod profile;
mod register;
mod room_error;
mod rooms;
mod sync;
#[cfg(test)]
mod tests;
mod trust;
mod vault;
mod vault_error;
mod words;

pub use backup::{Contents, Report};
pub use change::{ChangeState, ChangeStatus, RoomChange, Who};
pub use client::{Client, CreatedRoom, Registered};
pub use error::{Category, ClientError, VaultError};
pub use event::{Event, Left, Notice, SyncReport, Until};
pub use group::{MessageKind, NewRoom, PictureChange, ProfileChange, RoomMember, RoomNews, RoomProfile};
pub use history::calendar::Moment;
pub use history::error::{BadLine, HistoryError};
pub use history::import::Imported;
pub use history::search::{Found, Search};
pub use model::{
    Conversation, Direction, Message, MessageState, Page, PeerRef, Request, RoomRules, RoomState,
    RoomSummary, SafetyNumber, Sent, SentToRoom, Unread, Whoami,
};
pub use profile::{Profile, Unlock};
pub use room_error::RoomFault;
