//! Frames on the socket: read strictly, written whole, and how a connection ends.

use axum::body::Bytes;
use axum::extract::ws::Message;
use posthouse_spec::cbor::{Cbor as _, Text};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{Down, Goodbye, Up};
use posthouse_spec::limits::MAX_BODY;

/// Largest frame from a client, bytes: a submit with the largest body.
const MAX_UP_FRAME: usize = MAX_BODY + 1024;

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed it, or it broke.
    Gone,
    /// The relay closes it, and says why.
    Said(Refusal, String),
}

impl End {
    pub(super) fn malformed(rule: &str, what: impl std::fmt::Display) -> Self {
        Self::Said(Refusal::Malformed, format!("{rule}: {what}; the client has an error, update it"))
    }

    pub(super) fn shutting_down() -> Self {
        Self::Said(Refusal::ShuttingDown, "the relay is shutting down; connect again in a moment".into())
    }

    pub(super) fn goodbye(&self) -> Option<Message> {
        match self {
            Self::Gone => None,
            Self::Said(reason, detail) => {
                Some(encode(&Down::Goodbye(Goodbye { reason: *reason, detail: Text::clipped(detail) })))
            }
        }
    }
}

/// What a message of the socket means.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A frame of the protocol.
    Frame(Up),
    /// A sign of life.
    Alive,
}

/// Reads one message of the socket.
pub(super) fn decode(message: Option<Result<Message, axum::Error>>) -> Result<Incoming, End> {
    match message {
        None | Some(Ok(Message::Close(_))) => Err(End::Gone),
        Some(Err(error)) => Err(broken(&error)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Incoming::Alive),
        Some(Ok(Message::Text(_))) => Err(End::malformed("wrong-type", "frames are binary messages")),
        Some(Ok(Message::Binary(bytes))) if bytes.len() > MAX_UP_FRAME => Err(End::malformed(
            "too-long",
            format_args!("a frame of {} bytes, the limit is {MAX_UP_FRAME}", bytes.len()),
        )),
        // The words of a fault begin with its rule's name.
        Some(Ok(Message::Binary(bytes))) => Up::from_cbor(&bytes).map(Incoming::Frame).map_err(|fault| {
            End::Said(Refusal::Malformed, format!("{fault}; the client has an error, update it"))
        }),
    }
}

/// The library refuses a message that is too long before it is in memory; all else is a broken line.
fn broken(error: &axum::Error) -> End {
    let text = error.to_string();
    if text.contains("too long") || text.contains("Space limit") {
        return End::malformed("too-long", format_args!("a message beyond {MAX_UP_FRAME} bytes"));
    }
    tracing::debug!(error = text, "a socket broke");
    End::Gone
}

/// The message that carries a frame.
pub(super) fn encode(frame: &Down) -> Message {
    Message::Binary(Bytes::from(frame.to_cbor()))
}
