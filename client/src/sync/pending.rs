//! What waits for a room, or for a room to go on.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream;
use posthouse_spec::client::Delivery;
use posthouse_spec::{Alias, ManifestSeq, PublicKey, RoomId};

use super::emitter::Emitter;
use crate::chain;
use crate::context::Context;
use crate::error::ClientError;
use crate::event::Event;
use crate::model::MessageState;
use crate::rooms::founding::{self, Founded};
use crate::rooms::intake::Intake;
use crate::rooms::opening;
use crate::trust;
use crate::vault::{held, messages, outbox, rooms};

/// Aliases that are seen to at the same time.
const AT_ONCE: usize = 8;
/// Waiting items that are looked at in one go.
const PAGE: u32 = 64;

/// What came of seeing to all aliases.
#[derive(Default)]
pub(super) struct Provided {
    /// Something waits and may go on later.
    pub(super) again: bool,
    /// The first of what failed for now.
    pub(super) trouble: Option<ClientError>,
}

/// Takes what waited for a hub's manifest.
pub(super) async fn drain(context: &Context, emitter: &Emitter) -> Result<(), ClientError> {
    let waiting = held::waiting_rooms(context.vault.read().await?.db()?).await?;
    let mut trouble = None;
    let drains = waiting.into_iter().map(|room| drain_room(context, emitter, room));
    let mut drained = stream::iter(drains).buffer_unordered(AT_ONCE);
    while let Some(outcome) = drained.next().await {
        trouble = trouble.or(outcome.err());
    }
    trouble.map_or(Ok(()), Err)
}

async fn drain_room(context: &Context, emitter: &Emitter, id: RoomId) -> Result<(), ClientError> {
    let room = rooms::by_id(context.vault.read().await?.db()?, &id).await?;
    let Some(room) = room else { return Ok(()) };
    let hub = trust::ask_relay(context, &room.hub).await?;
    for seq in named(context, &id, &hub.ordering).await? {
        chain::provide(context, &hub, seq).await?;
    }
    let mut intake = Intake::begin(context).await?;
    // As it is now: the connection may have moved it on meanwhile.
    if let Some(mut room) = rooms::by_id(intake.tx.db()?, &id).await? {
        opening::drain(&mut intake, &mut room).await?;
    }
    let (events, _) = intake.commit().await?;
    context.signals.connection.notify_one();
    emitter.emit_all(events).await;
    Ok(())
}

/// The manifests that the decisions name which wait for a room and which another key than the hub's newest has signed.
async fn named(
    context: &Context,
    id: &RoomId,
    newest: &PublicKey,
) -> Result<BTreeSet<ManifestSeq>, ClientError> {
    let (mut named, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = held::next(context.vault.read().await?.db()?, id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(named) };
        after = last.id;
        for held in &page {
            if let Delivery::Decided(delivery) = &held.item
                && delivery.decided.decision.kid() != *newest
                && let Ok(decision) = delivery.decided.decision.peek()
            {
                named.insert(decision.manifest);
            }
        }
    }
}

/// Asks again for decisions whose answers may have been lost.
pub(super) async fn resume(context: &Context, emitter: &Emitter) -> Result<(), ClientError> {
    let events = founding::resume(context).await?;
    emitter.emit_all(events).await;
    Ok(())
}

/// Sees to a room for each alias for which something waits without one.
///
/// # Errors
/// The vault's only; what else fails is in the outcome.
pub(super) async fn provide(context: &Context, emitter: &Emitter) -> Result<Provided, ClientError> {
    let mut outcome = Provided::default();
    let aliases = without_room(context).await?;
    let foundings = aliases.into_iter().map(|alias| provide_one(context, emitter, alias));
    let mut provided = stream::iter(foundings).buffer_unordered(AT_ONCE);
    while let Some(one) = provided.next().await {
        let one = one?;
        outcome.again |= one.again;
        outcome.trouble = outcome.trouble.or(one.trouble);
    }
    Ok(outcome)
}

/// Aliases for which something waits that has no room, or none that can go on.
async fn without_room(context: &Context) -> Result<Vec<Alias>, ClientError> {
    let mut tx = context.vault.begin().await?;
    outbox::free_from_broken(tx.db()?).await?;
    let aliases = outbox::without_room(tx.db()?).await?;
    tx.commit().await?;
    Ok(aliases)
}

async fn provide_one(context: &Context, emitter: &Emitter, alias: Alias) -> Result<Provided, ClientError> {
    match Box::pin(founding::provide(context, &alias)).await {
        Ok(Founded::Ready(events)) => {
            context.signals.connection.notify_one();
            emitter.emit_all(events).await;
            Ok(Provided::default())
        }
        Ok(Founded::Waiting(reason)) => {
            put_reason(context, &alias, &reason).await?;
            Ok(Provided { again: true, trouble: None })
        }
        Err(error @ ClientError::Vault(_)) => Err(error),
        Err(error) if error.is_temporary() => {
            put_reason(context, &alias, &error.to_string()).await?;
            Ok(Provided { again: true, trouble: Some(error) })
        }
        Err(error) => {
            fail(context, emitter, &alias, &error).await?;
            Ok(Provided::default())
        }
    }
}

async fn put_reason(context: &Context, alias: &Alias, reason: &str) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    outbox::set_waiting(tx.db()?, alias, Some(reason)).await?;
    Ok(tx.commit().await?)
}

/// What waits for the alias will never have a room.
async fn fail(
    context: &Context,
    emitter: &Emitter,
    alias: &Alias,
    error: &ClientError,
) -> Result<(), ClientError> {
    let mut events = Vec::new();
    let reason = error.to_string();
    let mut tx = context.vault.begin().await?;
    for local in outbox::intents_for(tx.db()?, alias).await? {
        outbox::forget_intent(tx.db()?, local).await?;
        messages::set_state(tx.db()?, local, MessageState::Failed, Some(&reason)).await?;
        events.push(Event::Failed { local, code: error.code().to_owned(), reason: reason.clone() });
    }
    tx.commit().await?;
    emitter.emit_all(events).await;
    Ok(())
}
