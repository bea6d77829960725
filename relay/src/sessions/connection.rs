//! One connection from hello to goodbye.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use futures::{SinkExt as _, StreamExt as _};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{Down, Hello, Ready, SOCKET_VERSION, Up};
use posthouse_spec::limits::SUBMIT_WINDOW;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::frames::{End, Incoming, decode, encode};
use super::live::{Context, Place};
use super::shared::{Shared, Sink, Stream};
use super::{reader, writer};
use crate::store::{HelloOutcome, Session};

/// How long a client may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a goodbye may take to go out.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// Answers that wait for the writing loop.
const ANSWERS: usize = 32;
/// Buffer of a socket for what comes in, bytes: an idle connection holds it.
pub const READ_BUFFER: usize = 4 * 1024;
/// Buffer of a socket for what goes out, bytes: it is written when it holds more.
pub const WRITE_BUFFER: usize = 32 * 1024;
/// Largest message that is read into memory, bytes. Above a frame's limit, so that the client still hears the rule.
pub const MAX_UP_MESSAGE: usize = 1024 * 1024;

/// Serves a socket whose session was checked, until it ends.
pub async fn serve(socket: WebSocket, session: Session, context: Context, place: Place) {
    let (mut sink, mut stream) = socket.split();
    let end = match greet(&mut sink, &mut stream, session, context).await {
        Ok(shared) => {
            let (answers, waiting) = mpsc::channel(ANSWERS);
            let stop = &shared.context.sessions.0.stop;
            tokio::select! {
                // Heard here, because both loops may wait for a client that reads nothing.
                () = stop.cancelled() => End::shutting_down(),
                end = reader::run(&shared, &mut stream, answers) => end,
                end = writer::run(&shared, &mut sink, waiting) => end,
            }
        }
        Err(end) => end,
    };
    tracing::debug!(device = ?session.who.device, ?end, "a socket ends");
    let farewell = async {
        if let Some(message) = end.goodbye() {
            sink.send(message).await?;
        }
        sink.close().await
    };
    if !matches!(timeout(GOODBYE_TIMEOUT, farewell).await, Ok(Ok(()))) {
        tracing::debug!(device = ?session.who.device, "a socket ended without a goodbye");
    }
    drop(place);
}

async fn greet(
    sink: &mut Sink,
    stream: &mut Stream,
    session: Session,
    context: Context,
) -> Result<Shared, End> {
    let hello = hear(stream, &context).await?;
    if hello.version != SOCKET_VERSION {
        return Err(End::Said(
            Refusal::Version,
            format!(
                "this relay speaks version {SOCKET_VERSION}, the client {}; update the older one",
                hello.version
            ),
        ));
    }
    let who = session.who;
    // Entered before the mailbox is read, so that what comes in between wakes this connection.
    let entered = context.sessions.enter(who);
    let now = (context.clock)();
    let outcome = context.store.hello(who, &hello).await.map_err(|error| {
        tracing::error!(%error, "greeting a device failed");
        End::Said(Refusal::Internal, "the relay failed inside; connect again later".into())
    })?;
    let ready = match outcome {
        HelloOutcome::Ready { accepted, acked, head } => {
            Ready { domain: context.domain.clone(), accepted, submit_window: SUBMIT_WINDOW, acked, now, head }
        }
        HelloOutcome::RolledBack(why) => return Err(End::Said(Refusal::RolledBack, why)),
        HelloOutcome::UnknownDevice => {
            return Err(End::Said(
                Refusal::Unauthenticated,
                "this device is not an active device of its account; it was revoked".into(),
            ));
        }
    };
    let acked = ready.acked;
    sink.send(encode(&Down::Ready(ready))).await.map_err(|_| End::Gone)?;
    let left = session.expires.0.saturating_sub(now.0);
    Ok(Shared {
        context,
        who,
        entered,
        pushed: AtomicU64::new(acked.0),
        acked: AtomicU64::new(acked.0),
        ends: Instant::now() + Duration::from_millis(left),
    })
}

async fn hear(stream: &mut Stream, context: &Context) -> Result<Hello, End> {
    let first = async {
        loop {
            match decode(stream.next().await)? {
                Incoming::Alive => {}
                Incoming::Frame(Up::Hello(hello)) => return Ok(hello),
                Incoming::Frame(_) => return Err(End::malformed("out-of-turn", "the first frame is Hello")),
            }
        }
    };
    tokio::select! {
        () = context.sessions.0.stop.cancelled() => Err(End::shutting_down()),
        heard = timeout(HELLO_TIMEOUT, first) => heard.unwrap_or_else(|_| {
            Err(End::malformed("out-of-turn", format_args!("no Hello within {} s", HELLO_TIMEOUT.as_secs())))
        }),
    }
}
