//! Talking to the own relay: HTTP for questions, a WebSocket for messages.

pub(crate) mod http;
pub(crate) mod socket;
mod url;

pub(crate) use http::Relay;
pub(crate) use url::RelayUrl;
