//! Sync: everything that needs the relay.
//!
//! While it runs, two things go on side by side. The *connection* ([`session`]) is the WebSocket: it takes the mailbox
//! in ([`receive`]) and sends what is sealed ([`submit`]). The *work* ([`work`]) is what needs questions over HTTP:
//! key packages, founding rooms, finding out who asks. They meet only in the vault, and wake each other by
//! [`Signals`](crate::context::Signals).

mod backoff;
mod chains;
mod changes;
mod emitter;
mod key_packages;
mod pending;
mod people;
mod receive;
mod session;
mod submit;
#[cfg(test)]
pub(crate) mod testing;
mod work;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::ClientError;
use crate::event::{Event, Left, SyncReport, Until};
use crate::vault::{outbox, requests};
use backoff::{Backoff, is_final};
use emitter::Emitter;
pub(crate) use key_packages::top_up;
pub(crate) use people::join_now;

/// Runs a sync.
pub(crate) async fn run(
    context: &Context,
    until: Until,
    events: mpsc::Sender<Event>,
) -> Result<SyncReport, ClientError> {
    let _turn = context.syncing.try_lock().map_err(|_| ClientError::SyncRunning)?;
    let emitter = Emitter::new(events);
    match until {
        Until::Idle { timeout } => once(context, &emitter, timeout).await?,
        Until::Cancelled(token) => live(context, &emitter, &token).await?,
    }
    report(context, &emitter).await
}

/// One connection, until there is nothing more to do.
async fn once(context: &Context, emitter: &Emitter, timeout: Duration) -> Result<(), ClientError> {
    let session = Box::pin(session::run(context, emitter, session::Mode::Once));
    match tokio::time::timeout(timeout, session).await {
        Ok(result) => result,
        Err(_) if emitter.was_connected() => Ok(()),
        Err(_) => Err(ClientError::Unreachable {
            url: context.relay.url().as_str().to_owned(),
            doing: "exchange messages".to_owned(),
            why: format!("no answer within {} s", timeout.as_secs()),
        }),
    }
}

/// One connection after the other.
async fn live(context: &Context, emitter: &Emitter, token: &CancellationToken) -> Result<(), ClientError> {
    let mut backoff = Backoff::connection();
    loop {
        emitter.forget_connection();
        let session = Box::pin(session::run(context, emitter, session::Mode::Live(token.clone())));
        let error = match session.await {
            Ok(()) => return Ok(()),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => error,
        };
        if emitter.was_connected() {
            backoff.reset();
        }
        let wait = backoff.next();
        tracing::info!(%error, ?wait, "the connection is gone");
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        emitter.emit(Event::Disconnected { reason: error.to_string(), retry_in_ms }).await;
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn report(context: &Context, emitter: &Emitter) -> Result<SyncReport, ClientError> {
    let mut reader = context.vault.read().await?;
    let left = outbox::waiting(reader.db()?)
        .await?
        .into_iter()
        .map(|waiting| Left { local: waiting.local, to: waiting.to, reason: waiting.reason })
        .collect();
    let asking = requests::open(reader.db()?).await?;
    let requests = asking.iter().filter(|request| request.answer == requests::Answer::Asking).count() as u64;
    Ok(SyncReport { left, requests, ..emitter.counts() })
}
