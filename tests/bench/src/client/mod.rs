//! The generator's own client: the real protocol with real keys, and nothing that a client keeps on disk.
//!
//! The SDK's vault would make the client the subject. [`Home`] is a relay's HTTP API, [`Person`] an account with one
//! device, [`Socket`] the device's WebSocket.

mod home;
mod person;
mod socket;

pub(crate) use home::Home;
pub(crate) use person::Person;
pub(crate) use socket::Socket;
