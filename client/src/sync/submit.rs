//! Sending: sealed messages in the order of their numbers, the stored bytes first, and then what can be sealed.
//!
//! The relay takes numbers without gaps. Where it refuses one, that number is not used, and everything in flight behind
//! it is refused as a gap; so nothing more is sent until all of that has come back, and then the outbox closes up: a
//! message of a stale epoch waits to be sealed again, one that was refused for good fails, and the others keep their bytes and
//! move down.

use std::collections::BTreeSet;
use std::time::Duration;

use posthouse_crypto::message_id;
use posthouse_spec::Number;
use posthouse_spec::cbor::{Cbor as _, Octets};
use posthouse_spec::client::socket::{Refused, Submit};
use posthouse_spec::client::{Refusal, Up};
use posthouse_spec::content::MimiContent;
use posthouse_spec::limits::SUBMIT_WINDOW;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::emitter::Emitter;
use crate::context::Context;
use crate::error::{ClientError, VaultError};
use crate::event::{Event, Notice};
use crate::model::MessageState;
use crate::vault::messages::{self, SealedAs};
use crate::vault::outbox::{self, Outgoing, Sealable};
use crate::vault::{Tx, owner, rooms};

/// Messages that are sealed in one transaction.
const SEAL_BATCH: usize = 64;
/// How long a relay that is busy is left alone.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// What is on its way on one connection.
pub(super) struct Submitter {
    window: usize,
    /// The last number that was sent on this connection, or that the relay had before.
    sent: Number,
    in_flight: BTreeSet<Number>,
    refusal: Option<Refused>,
    busy_until: Option<Instant>,
}

impl Submitter {
    /// Takes up where the relay stands: it has everything up to `accepted`.
    pub(super) async fn resume(
        context: &Context,
        emitter: &Emitter,
        accepted: Number,
        window: u64,
    ) -> Result<Self, ClientError> {
        let this = Self {
            window: usize::try_from(window.min(SUBMIT_WINDOW)).unwrap_or(1).max(1),
            sent: accepted,
            in_flight: BTreeSet::new(),
            refusal: None,
            busy_until: None,
        };
        this.settle(context, emitter, accepted).await?;
        close_up_after_restore(context, emitter, accepted).await?;
        Ok(this)
    }

    /// Everything up to `through` is durable at the relay.
    pub(super) async fn accepted(
        &mut self,
        context: &Context,
        emitter: &Emitter,
        through: Number,
    ) -> Result<(), ClientError> {
        if through > self.sent {
            return Err(context.relay.wrong("exchange messages", "it accepted a number that was never sent"));
        }
        self.in_flight.retain(|number| *number > through);
        self.settle(context, emitter, through).await
    }

    async fn settle(&self, context: &Context, emitter: &Emitter, through: Number) -> Result<(), ClientError> {
        let mut tx = context.vault.begin().await?;
        let accepted = outbox::accept(tx.db()?, through).await?;
        tx.commit().await?;
        for item in accepted {
            emitter.emit(Event::Accepted { local: item.local, room: item.room }).await;
        }
        Ok(())
    }

    /// The relay refused a number.
    pub(super) fn refused(&mut self, context: &Context, refused: Refused) -> Result<(), ClientError> {
        if !self.in_flight.remove(&refused.number) {
            return Err(context.relay.wrong("exchange messages", "it refused a number that was never sent"));
        }
        match (&self.refusal, refused.reason) {
            // What was in flight behind a refused number.
            (Some(first), Refusal::NumberGap) if refused.number > first.number => Ok(()),
            (None, Refusal::NumberGap) => {
                Err(context.relay.wrong("exchange messages", "it misses a number that it was sent"))
            }
            // The relay holds another body under this number: this vault is not the one that it knows.
            (_, Refusal::NumberReused) => Err(ClientError::Refused {
                doing: "send a message".to_owned(),
                reason: refused.reason,
                detail: refused.detail.to_string(),
            }),
            (Some(first), _) if refused.number > first.number => Ok(()),
            _ => {
                self.refusal = Some(refused);
                Ok(())
            }
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.refusal.is_none()
    }

    /// When to look again, where the relay is left alone.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.busy_until
    }

    /// Sends what can be sent now; `out` is never waited for.
    pub(super) async fn feed(
        &mut self,
        context: &Context,
        emitter: &Emitter,
        out: &mpsc::Sender<Option<Up>>,
    ) -> Result<(), ClientError> {
        if self.refusal.is_some() && self.in_flight.is_empty() {
            self.close_up(context, emitter).await?;
        }
        if self.refusal.is_some() || self.busy_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        self.busy_until = None;
        loop {
            // One place stays free for an acknowledgement.
            let room = self.window.saturating_sub(self.in_flight.len()).min(out.capacity().saturating_sub(1));
            let batch = u32::try_from(room.min(SEAL_BATCH)).unwrap_or(0);
            if batch == 0 {
                return Ok(());
            }
            let mut items = outbox::behind(context.vault.read().await?.db()?, self.sent, batch).await?;
            if items.is_empty() {
                items = seal(context, emitter, batch).await?;
            }
            if items.is_empty() {
                return Ok(());
            }
            for item in items {
                self.send(context, out, item)?;
            }
        }
    }

    fn send(
        &mut self,
        context: &Context,
        out: &mpsc::Sender<Option<Up>>,
        item: Outgoing,
    ) -> Result<(), ClientError> {
        let body =
            Octets::new(item.body).map_err(|fault| VaultError::Content(format!("the outbox: {fault}")))?;
        let submit = Submit { room: item.room, epoch: item.epoch, number: item.number, body };
        out.try_send(Some(Up::Submit(submit)))
            .map_err(|_| context.relay.wrong("exchange messages", "the connection is closing"))?;
        self.sent = item.number;
        self.in_flight.insert(item.number);
        Ok(())
    }

    /// Everything in flight has come back: the outbox closes up over what was refused.
    async fn close_up(&mut self, context: &Context, emitter: &Emitter) -> Result<(), ClientError> {
        let Some(refused) = self.refusal.take() else { return Ok(()) };
        self.sent = Number(refused.number.0.saturating_sub(1));
        if matches!(
            refused.reason,
            Refusal::Busy | Refusal::RateLimited | Refusal::Internal | Refusal::ShuttingDown
        ) {
            self.busy_until = Some(Instant::now() + BUSY_WAIT);
            return Ok(());
        }
        let mut tx = context.vault.begin().await?;
        let items = outbox::behind(tx.db()?, self.sent, u32::MAX).await?;
        let mut events = Vec::new();
        let stale = refused.reason == Refusal::StaleEpoch;
        let mut next = refused.number;
        let room = items.first().map(|item| item.room);
        for item in &items {
            let again = stale && Some(item.room) == room;
            if again {
                outbox::back_to_intent(tx.db()?, item).await?;
                rooms::set_stale(tx.db()?, &item.room, item.epoch).await?;
            } else if !stale && item.number == refused.number {
                events.extend(fail(&mut tx, item, &refused).await?);
            } else {
                move_down(&mut tx, item, next).await?;
                next = next.next();
            }
        }
        owner::set_last_number(tx.db()?, Number(next.0.saturating_sub(1))).await?;
        tx.commit().await?;
        emitter.emit_all(events).await;
        Ok(())
    }
}

async fn fail(tx: &mut Tx<'_>, item: &Outgoing, refused: &Refused) -> Result<Option<Event>, ClientError> {
    let reason = format!("the relay refused it ({}): {}", refused.reason, refused.detail);
    outbox::remove(tx.db()?, item.number).await?;
    messages::set_state(tx.db()?, item.local, MessageState::Failed, Some(&reason)).await?;
    messages::set_number(tx.db()?, item.local, None).await?;
    let shown = outbox::is_shown(tx.db()?, item.local).await?;
    Ok(shown.then(|| Event::Failed { local: item.local, code: refused.reason.name().to_owned(), reason }))
}

async fn move_down(tx: &mut Tx<'_>, item: &Outgoing, to: Number) -> Result<(), ClientError> {
    if item.number != to {
        outbox::renumber(tx.db()?, item.number, to).await?;
        messages::set_number(tx.db()?, item.local, Some(to)).await?;
    }
    Ok(())
}

/// A relay that was restored from a copy has forgotten numbers that it accepted. They are given again, to what comes
/// next; what they stood for cannot be sent again, and that is said.
async fn close_up_after_restore(
    context: &Context,
    emitter: &Emitter,
    accepted: Number,
) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    let last = owner::positions(tx.db()?).await?.last_number;
    let items = outbox::behind(tx.db()?, accepted, u32::MAX).await?;
    let first = items.first().map_or(last.next(), |item| item.number);
    let lost = first.0.saturating_sub(accepted.next().0);
    if lost > 0 {
        let mut next = accepted.next();
        for item in &items {
            move_down(&mut tx, item, next).await?;
            next = next.next();
        }
        owner::set_last_number(tx.db()?, Number(next.0 - 1)).await?;
    }
    tx.commit().await?;
    if lost > 0 {
        let detail = format!(
            "the relay has forgotten {lost} messages that it had accepted; it may have been restored from a backup. \
             Ask whether your last messages arrived"
        );
        let notice = Notice { code: "relay-restored".to_owned(), detail, alias: None, room: None };
        emitter.emit(Event::Notice(notice)).await;
    }
    Ok(())
}

/// Seals what can be sealed: ratchet, message and outbox row in one transaction.
pub(super) async fn seal(
    context: &Context,
    emitter: &Emitter,
    limit: u32,
) -> Result<Vec<Outgoing>, ClientError> {
    if outbox::sealable(context.vault.read().await?.db()?, 1).await?.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = context.vault.begin().await?;
    let mut events = Vec::new();
    let mut sealed = Vec::new();
    let mut last = owner::positions(tx.db()?).await?.last_number;
    for item in outbox::sealable(tx.db()?, limit).await? {
        match seal_one(&mut tx, context, &item, last.next()).await? {
            Ok(outgoing) => {
                last = outgoing.number;
                if item.shown {
                    events.push(Event::Sealed { local: item.local, room: item.room });
                }
                sealed.push(outgoing);
            }
            Err(error) => events.extend(give_up(&mut tx, &item, &error).await?),
        }
    }
    owner::set_last_number(tx.db()?, last).await?;
    tx.commit().await?;
    emitter.emit_all(events).await;
    Ok(sealed)
}

/// Seals one message; the inner error is the room's, and concerns this message alone.
async fn seal_one(
    tx: &mut Tx<'_>,
    context: &Context,
    item: &Sealable,
    number: Number,
) -> Result<Result<Outgoing, String>, ClientError> {
    let own = context.owner.account.id();
    let (room, _) = tx.room(&item.room)?;
    let agreed = room.context();
    if item.shown && agreed.role(&own) < agreed.policy.write {
        return Ok(Err(format!("only {}s write in this room", agreed.policy.write)));
    }
    let content = match &item.content {
        Some(content) => content.clone(),
        None => MimiContent::text(rand::random(), &item.text)
            .map_err(|fault| VaultError::Content(format!("a message to be sealed: {fault}")))?
            .to_cbor(),
    };
    let id = message_id(&own, &item.room, &content);
    let (room, keys) = tx.room(&item.room)?;
    let body = match room.seal(keys, &content) {
        Ok(body) => body,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let epoch = room.epoch();
    let outgoing = Outgoing { number, room: item.room, epoch, body, local: item.local };
    let sealed = SealedAs {
        local: item.local,
        room: &item.room,
        peer: item.peer.as_ref(),
        id: &id,
        content: &content,
        number,
    };
    messages::set_sealed(tx.db()?, &sealed).await?;
    outbox::push(tx.db()?, &outgoing).await?;
    outbox::forget_intent(tx.db()?, item.local).await?;
    Ok(Ok(outgoing))
}

async fn give_up(tx: &mut Tx<'_>, item: &Sealable, error: &str) -> Result<Option<Event>, ClientError> {
    let reason = format!("it could not be sealed: {error}");
    outbox::forget_intent(tx.db()?, item.local).await?;
    messages::set_state(tx.db()?, item.local, MessageState::Failed, Some(&reason)).await?;
    Ok(item.shown.then(|| Event::Failed { local: item.local, code: "not-sealed".to_owned(), reason }))
}

/// Whether anything waits that could be sent now.
pub(super) async fn nothing_to_send(context: &Context) -> Result<bool, ClientError> {
    let mut reader = context.vault.read().await?;
    Ok(outbox::count(reader.db()?).await? == 0 && outbox::sealable(reader.db()?, 1).await?.is_empty())
}
