//! The work beside the connection: everything that needs questions to the relay.
//!
//! It goes over all of it in one pass; a pass is repeated when somebody wants work, and after a growing wait where
//! something failed for now. What concerns different people goes on side by side, because a question about somebody
//! whose relay is down takes its time.

use std::time::Duration;

use super::backoff::{Backoff, is_final};
use super::emitter::Emitter;
use super::{chains, changes, key_packages, pending, people};
use crate::clock;
use crate::context::Context;
use crate::error::ClientError;
use crate::event::{Event, Notice};
use crate::trust;

/// Works until the connection ends. It never ends well by itself.
pub(super) async fn run(context: &Context, emitter: &Emitter, live: bool) -> Result<(), ClientError> {
    let mut worker = Worker { context, emitter, met_relay: false, stocked: false, told: None };
    let mut backoff = Backoff::work();
    loop {
        let seen = context.signals.begin_pass();
        let began = clock::now();
        let again = worker.pass().await?;
        context.signals.end_pass(seen);
        if !again {
            backoff.reset();
        }
        // What was decided against tries again at a time of its own, in a short sync as well.
        let due = changes::next_due(context, began).await?;
        let retry = (again && live).then(|| backoff.next());
        let wait = retry.into_iter().chain(due).min();
        tokio::select! {
            () = context.signals.work_wanted() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Sleeps for a while, or for good.
async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
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
        let (context, emitter) = (self.context, self.emitter);
        let mut again = false;
        if !self.met_relay {
            match trust::ask_relay(context, &context.owner.alias.domain).await {
                Ok(_) => self.met_relay = true,
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => again |= self.mind(error).await?,
            }
        }
        if !self.stocked {
            match key_packages::top_up(context).await {
                Ok(()) => self.stocked = true,
                Err(error) => again |= self.mind(error).await?,
            }
        }
        if let Err(error) = people::tell_blocks(context).await {
            again |= self.mind(error).await?;
        }
        let (seen, drained, resumed, provided, changed, met) = tokio::join!(
            Box::pin(people::see_to_requests(context, emitter)),
            Box::pin(pending::drain(context, emitter)),
            Box::pin(pending::resume(context, emitter)),
            Box::pin(pending::provide(context, emitter)),
            Box::pin(changes::see_to(context, emitter)),
            Box::pin(chains::fetch(context, emitter)),
        );
        let seen = seen?;
        // An invitation that was joined has used up a key package.
        self.stocked &= !seen.joined;
        let provided = provided?;
        let (changed, met) = (changed?, met?);
        again |= provided.again || changed.again || met.again;
        let troubles =
            [seen.trouble, drained.err(), resumed.err(), provided.trouble, changed.trouble, met.trouble];
        for error in troubles.into_iter().flatten() {
            again |= self.mind(error).await?;
        }
        Ok(again)
    }

    /// Lets trouble with the vault end the sync; of the rest, tells what is new, and says whether to try again.
    async fn mind(&mut self, error: ClientError) -> Result<bool, ClientError> {
        if matches!(error, ClientError::Vault(_)) {
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
}
