//! Rooms in which something is to change.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use posthouse_spec::{Millis, RoomId};

use super::emitter::Emitter;
use super::pending::Provided;
use crate::clock;
use crate::context::Context;
use crate::error::ClientError;
use crate::rooms::changing;
use crate::vault::changes;

/// Rooms that are seen to at the same time.
const AT_ONCE: usize = 8;
/// The shortest wait for what is due, so that a clock that was set does not make this busy.
const SHORTEST: Duration = Duration::from_millis(10);

/// Does what can be done now in all rooms. One whose hub does not answer keeps none of the others waiting.
///
/// # Errors
/// The vault's only; what else fails is said at the changes.
pub(super) async fn see_to(context: &Context, emitter: &Emitter) -> Result<Provided, ClientError> {
    let mut outcome = Provided::default();
    let rooms = changes::rooms(context.vault.read().await?.db()?).await?;
    let advances = rooms.into_iter().map(|room| advance(context, emitter, room));
    let mut advanced = stream::iter(advances).buffer_unordered(AT_ONCE);
    while let Some(again) = advanced.next().await {
        outcome.again |= again?;
    }
    Ok(outcome)
}

/// `true` where something is out of reach for now.
async fn advance(context: &Context, emitter: &Emitter, room: RoomId) -> Result<bool, ClientError> {
    let advanced = changing::advance(context, &room).await?;
    emitter.emit_all(advanced.events).await;
    Ok(advanced.again)
}

/// How long until the next thing is due that waits for nothing but the time, and was not due yet when a pass began.
pub(super) async fn next_due(context: &Context, began: Millis) -> Result<Option<Duration>, ClientError> {
    let due = changes::next_due(context.vault.read().await?.db()?, began).await?;
    let now = clock::now();
    Ok(due.map(|due| Duration::from_millis(due.0.saturating_sub(now.0)).max(SHORTEST)))
}

/// Whether some change goes on by itself.
pub(super) async fn is_moving(context: &Context) -> Result<bool, ClientError> {
    Ok(changes::is_moving(context.vault.read().await?.db()?).await?)
}
