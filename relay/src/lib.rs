//! The Posthouse relay: one domain's mailboxes and rooms, its store, and its sides towards clients and other relays.
//!
//! Bottom up: [`mailbox`], [`rooms`] and [`quota`] are pure rules; [`store`] keeps what must survive, with one writer;
//! [`hub`] runs the rooms; [`outbox`] is what the federation sees.

pub mod hub;
pub mod mailbox;
pub mod outbox;
pub mod quota;
pub mod rooms;
pub mod store;
