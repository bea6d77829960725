//! The Posthouse relay: one domain's mailboxes and rooms, its store, and its sides towards clients and other relays.
//!
//! Bottom up: [`mailbox`], [`lane`], [`rooms`] and [`quota`] are pure rules; [`store`] keeps what must survive, with one writer;
//! [`hub`] runs the rooms; [`outbox`] is what the federation sees. [`accounts`] knows people and their devices,
//! [`sessions`] their live sockets, and [`http`] is the API over both. [`server`] puts a relay together from its
//! [`config`], its [`keys`] and its [`manifest`]; [`cli`] is the program.

pub mod accounts;
pub mod canaries;
pub mod chain;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
pub mod error;
pub mod http;
pub mod hub;
pub mod keyring;
pub mod keys;
pub mod lane;
pub mod logging;
pub mod mailbags;
pub mod mailbox;
pub mod manifest;
pub mod metrics;
pub mod network;
pub mod outbox;
pub mod peers;
pub mod quota;
pub mod rate;
pub mod ready;
pub mod rooms;
pub mod server;
pub mod sessions;
pub mod state;
pub mod store;
