//! Live sockets: which devices are connected, and how they are woken.
//!
//! A connection is two loops over one socket. The reading loop (`reader`) takes frames, hands submits to the store
//! without waiting for each one's commit, and passes the answers on in order. The writing loop (`writer`) sends answers,
//! pushes what waits in the mailbox as far as the credit window allows, and asks a silent peer whether it is there.
//! `connection` greets the device, runs both over what they share (`shared`), and says goodbye with the reason. `live`
//! knows all connections.

mod connection;
mod frames;
mod live;
mod reader;
mod shared;
mod writer;

pub use connection::{MAX_UP_MESSAGE, READ_BUFFER, WRITE_BUFFER, serve};
pub use live::{Context, Entered, Place, Sessions};
