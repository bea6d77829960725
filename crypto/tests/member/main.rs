//! The member's side and the observer's side of rooms, told as what people and relays do.

mod changes;
mod garbage;
mod hostile;
mod keys;
mod raw;
mod rejoin;
mod room;
mod support;
