//! The work beside the connection: everything that needs questions to the relay.
//!
//! It goes over all of it in one pass, in an order in which each step may spare the next one; a pass is repeated when
//! somebody wants work, and after a growing wait where something failed for now.

use posthouse_spec::Alias;

use super::backoff::{Backoff, is_final};
use super::emitter::Emitter;
use super::{key_packages, people};
use crate::context::Context;
use crate::error::ClientError;
use crate::event::{Event, Notice};
use crate::model::MessageState;
use crate::rooms::founding::{self, Founded};
use crate::rooms::intake::Intake;
use crate::rooms::opening;
use crate::trust;
use crate::vault::{held, messages, outbox, rooms};

/// Works until the connection ends. It never ends well by itself.
pub(super) async fn run(context: &Context, emitter: &Emitter, live: bool) -> Result<(), ClientError> {
    let mut worker = Worker { context, emitter, met_relay: false, stocked: false, told: None };
    let mut backoff = Backoff::work();
    loop {
        let seen = context.signals.begin_pass();
        let again = worker.pass().await?;
        context.signals.end_pass(seen);
        if !again {
            backoff.reset();
        }
        if again && live {
            tokio::select! {
                () = context.signals.work_wanted() => {}
                () = tokio::time::sleep(backoff.next()) => {}
            }
        } else {
            context.signals.work_wanted().await;
        }
    }
}

struct Worker<'a> {
    context: &'a Context,
    emitter: &'a Emitter,
    /// Whether the own relay was found to be the one that is pinned.
    met_relay: bool,
    /// Whether the stock of key packages was looked at.
    stocked: bool,
    /// The trouble that was told last: said once, not with every attempt.
    told: Option<String>,
}

impl Worker<'_> {
    /// Goes over everything once; `true` where something failed that may work later.
    async fn pass(&mut self) -> Result<bool, ClientError> {
        let mut again = false;
        if !self.met_relay {
            let met = trust::ask_relay(self.context, &self.context.owner.alias.domain).await;
            self.met_relay = met.is_ok();
            again |= self.mind(met.map(drop)).await?;
        }
        if !self.stocked {
            let stocked = key_packages::top_up(self.context).await;
            self.stocked = stocked.is_ok();
            again |= self.mind(stocked).await?;
        }
        let told = people::tell_blocks(self.context).await;
        again |= self.mind(told).await?;
        let seen = people::see_to_requests(self.context, self.emitter).await;
        // An invitation that was joined has used up a key package.
        self.stocked &= !matches!(seen, Ok(true));
        again |= self.mind(seen.map(drop)).await?;
        let drained = self.drain().await;
        again |= self.mind(drained).await?;
        let resumed = self.resume().await;
        again |= self.mind(resumed).await?;
        let aliases = self.without_room().await?;
        for alias in aliases {
            again |= self.provide(&alias).await?;
        }
        Ok(again)
    }

    async fn resume(&self) -> Result<(), ClientError> {
        let events = Box::pin(founding::resume(self.context)).await?;
        self.emitter.emit_all(events).await;
        Ok(())
    }

    /// Aliases for which something waits that has no room, or none that can go on.
    async fn without_room(&self) -> Result<Vec<Alias>, ClientError> {
        let mut tx = self.context.vault.begin().await?;
        outbox::free_from_broken(tx.db()?).await?;
        let aliases = outbox::without_room(tx.db()?).await?;
        tx.commit().await?;
        Ok(aliases)
    }

    /// Lets what ends the sync pass; of the rest, tells what is new, and says whether to try again.
    async fn mind(&mut self, result: Result<(), ClientError>) -> Result<bool, ClientError> {
        let Err(error) = result else { return Ok(false) };
        if is_final(&error) {
            return Err(error);
        }
        let again = error.is_temporary();
        let detail = error.to_string();
        if self.told.as_ref() != Some(&detail) {
            self.told = Some(detail.clone());
            let notice = Notice { code: error.code().to_owned(), detail, alias: None, room: None };
            self.emitter.emit(Event::Notice(notice)).await;
        }
        Ok(again)
    }

    /// Takes what waited for a hub's manifest.
    async fn drain(&mut self) -> Result<(), ClientError> {
        let waiting = held::waiting_rooms(self.context.vault.read().await?.db()?).await?;
        for id in waiting {
            let Some(room) = rooms::by_id(self.context.vault.read().await?.db()?, &id).await? else {
                continue;
            };
            trust::ask_relay(self.context, &room.hub).await?;
            let mut intake = Intake::begin(self.context).await?;
            let mut room = room;
            opening::drain(&mut intake, &mut room).await?;
            let (events, _) = intake.commit().await?;
            self.context.signals.connection.notify_one();
            self.emitter.emit_all(events).await;
        }
        Ok(())
    }

    /// Sees to a room for what waits for an alias.
    async fn provide(&mut self, alias: &Alias) -> Result<bool, ClientError> {
        match Box::pin(founding::provide(self.context, alias)).await {
            Ok(Founded::Ready(events)) => {
                self.context.signals.connection.notify_one();
                self.emitter.emit_all(events).await;
                Ok(false)
            }
            Ok(Founded::Waiting(reason)) => {
                self.put_reason(alias, &reason).await?;
                Ok(true)
            }
            Err(error @ ClientError::Vault(_)) => Err(error),
            Err(error) if error.is_temporary() => {
                self.put_reason(alias, &error.to_string()).await?;
                self.mind(Err(error)).await
            }
            Err(error) => {
                self.fail(alias, &error).await?;
                Ok(false)
            }
        }
    }

    async fn put_reason(&self, alias: &Alias, reason: &str) -> Result<(), ClientError> {
        let mut tx = self.context.vault.begin().await?;
        outbox::set_waiting(tx.db()?, alias, Some(reason)).await?;
        Ok(tx.commit().await?)
    }

    /// What waits for the alias will never have a room.
    async fn fail(&self, alias: &Alias, error: &ClientError) -> Result<(), ClientError> {
        let mut events = Vec::new();
        let reason = error.to_string();
        let mut tx = self.context.vault.begin().await?;
        for local in outbox::intents_for(tx.db()?, alias).await? {
            outbox::forget_intent(tx.db()?, local).await?;
            messages::set_state(tx.db()?, local, MessageState::Failed, Some(&reason)).await?;
            events.push(Event::Failed { local, code: error.code().to_owned(), reason: reason.clone() });
        }
        tx.commit().await?;
        self.emitter.emit_all(events).await;
        Ok(())
    }
}
