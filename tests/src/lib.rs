//! The harness of the test house: real relays and real clients, built as they ship, on one machine.
//!
//! A [`Network`] is a temporary folder with several [`Relay`]s that find each other through an overrides file. Each
//! relay is a process behind [`Proxy`]s, which keep its public ports across restarts and inject faults. A [`Person`] runs
//! the real `posthouse` program in a home folder of their own. Whatever the harness starts ends when it is dropped.

mod fault;
#[cfg(target_os = "linux")]
pub mod netns;
mod network;
mod person;
mod process;
mod relay;
mod room;
mod rpc;
mod running;
mod search;
mod ship;
pub mod tools;

pub use fault::Proxy;
pub use network::Network;
pub use person::{Outcome, PASSPHRASE, Person};
pub use process::{Leash, tail};
pub use relay::Relay;
pub use room::Room;
pub use rpc::Rpc;
pub use running::{Listener, Sending};
pub use search::Search;
pub use ship::Ship;
