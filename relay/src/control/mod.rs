//! The control socket: how the operator's commands reach the relay that runs.
//!
//! The relay serves HTTP with JSON at `DATA/control.sock`, which only the user that runs it may open; there is no other
//! lock on it, and nothing of it is on any network. [`server`] is the relay's end and the table of its routes, [`client`]
//! the commands' end; in between there is one file a noun.

pub mod client;
pub mod server;

mod controlled;
mod doctor;
mod keys;
mod peers;
mod place;
mod reach;
mod reply;
mod status;

pub use client::{ControlError, Running};
pub use controlled::Controlled;
pub use keys::Rotation;
pub use peers::{NewRule, unknown};
pub use place::SOCKET;
pub use reach::{Reach, Tested, Through};
pub use reply::{Reply, Trouble};
pub use status::Status;
