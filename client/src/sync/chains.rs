//! Who the others in a room are: their chains, by account, from the relays that their devices name.

use futures::StreamExt as _;
use futures::stream;

use super::emitter::Emitter;
use super::pending::Provided;
use crate::context::Context;
use crate::error::ClientError;
use crate::rooms::content;
use crate::rooms::intake::Intake;
use crate::trust;
use crate::vault::wanted_chains::{self, Wanted};

/// Accounts that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Fetches the chains that are asked for, and takes what waited for them. One whose relay does not answer keeps none of the
/// others waiting.
///
/// # Errors
/// The vault's only; what else fails is said at the member.
pub(super) async fn fetch(context: &Context, emitter: &Emitter) -> Result<Provided, ClientError> {
    let mut outcome = Provided::default();
    let wanted = wanted_chains::all(context.vault.read().await?.db()?).await?;
    let fetches = wanted.into_iter().map(|wanted| fetch_one(context, emitter, wanted));
    let mut fetched = stream::iter(fetches).buffer_unordered(AT_ONCE);
    while let Some(again) = fetched.next().await {
        outcome.again |= again?;
    }
    Ok(outcome)
}

/// `true` where it may be had later.
async fn fetch_one(context: &Context, emitter: &Emitter, wanted: Wanted) -> Result<bool, ClientError> {
    let found = trust::find_account(context, &wanted.account, &wanted.home).await;
    let mut intake = Intake::begin(context).await?;
    let met = match found {
        Ok(known) => trust::meet_member(intake.tx.db()?, &known).await,
        Err(error) => Err(error),
    };
    let again = match met {
        Err(error @ ClientError::Vault(_)) => return Err(error),
        Err(error) if error.is_temporary() => {
            let why = format!("waiting for {}", wanted.home);
            wanted_chains::set_reason(intake.tx.db()?, &wanted.account, &why).await?;
            true
        }
        met => {
            // What cannot be had now is asked for again when they are heard again.
            wanted_chains::remove(intake.tx.db()?, &wanted.account).await?;
            let why = met.err().map(|error| error.to_string());
            content::attribute(&mut intake, &wanted.account, why.as_deref()).await?;
            false
        }
    };
    let (events, work) = intake.commit().await?;
    if work {
        context.signals.want_work();
    }
    context.signals.connection.notify_one();
    emitter.emit_all(events).await;
    Ok(again)
}
