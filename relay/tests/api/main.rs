//! The API as a client meets it: a real server on free ports, with a real store, and a clock that the test turns.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod accounts;
mod asking;
mod house;
mod login;
mod lookup;
mod operator;
mod rooms;
mod socket;
