//! What wishes need before there can be a commit: who they are about, and key packages of whoever is to come in. A relay that
//! is out of reach holds up its own people and nobody else.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::stream;
use posthouse_crypto::KnownAccount;
use posthouse_spec::{AccountId, Alias, Millis};

use super::advanced::Advanced;
use super::claim;
use super::fit::{Fit, fit_packages};
use crate::change::{ChangeState, RoomChange, Who};
use crate::context::Context;
use crate::error::ClientError;
use crate::event::Event;
use crate::trust;
use crate::vault::changes::{self, ChangeRow};
use crate::vault::rooms::RoomRow;
use crate::vault::{claims, contacts, contexts, members};

/// People who are asked for at the same time.
const AT_ONCE: usize = 8;

/// What one wish still lacks, or has.
enum Found {
    /// Nothing is needed, or it is known now whom it is about.
    Ready,
    /// Key packages of who is to come in.
    Packages(AccountId, Vec<Fit>),
    /// Not now, and why; whether it may go on by itself is for the next pass.
    Waiting(String),
    /// Never, and why.
    Refused(String),
}

/// Finds out what is not known; returns the key packages of those who are to come in.
pub(crate) async fn resolve(
    context: &Context,
    room: &RoomRow,
    advanced: &mut Advanced,
) -> Result<BTreeMap<AccountId, Vec<Fit>>, ClientError> {
    let wanted =
        changes::in_state(context.vault.read().await?.db()?, &room.room, ChangeState::Waiting).await?;
    let asked = wanted.into_iter().map(|change| async move {
        let found = find(context, room, &change).await;
        (change, found)
    });
    // All of them first: one that holds the vault must not wait for what is done with another.
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
    let mut packages = BTreeMap::new();
    for (change, found) in answers {
        match found? {
            Found::Ready => {}
            Found::Packages(account, fit) => {
                packages.insert(account, fit);
            }
            Found::Waiting(why) => {
                advanced.again = true;
                note(context, change, ChangeState::Waiting, why, advanced).await?;
            }
            Found::Refused(why) => note(context, change, ChangeState::Refused, why, advanced).await?,
        }
    }
    Ok(packages)
}

/// Notes what a wish waits for, if that is news.
async fn note(
    context: &Context,
    mut change: ChangeRow,
    state: ChangeState,
    why: String,
    advanced: &mut Advanced,
) -> Result<(), ClientError> {
    if change.state == state && change.reason.as_ref() == Some(&why) {
        return Ok(());
    }
    let mut tx = context.vault.begin().await?;
    changes::set_state(tx.db()?, change.id, state, Some(&why)).await?;
    tx.commit().await?;
    (change.state, change.reason) = (state, Some(why));
    advanced.events.push(Event::Change(change.shown()));
    Ok(())
}

async fn find(context: &Context, room: &RoomRow, change: &ChangeRow) -> Result<Found, ClientError> {
    let found = match &change.change {
        RoomChange::Add { alias } => newcomer(context, room, change, alias).await,
        RoomChange::Policy { .. } => Ok(Found::Ready),
        other => match other.about() {
            Some(Who::Alias(alias)) if change.account.is_none() => person(context, change, &alias).await,
            _ => Ok(Found::Ready),
        },
    };
    match found {
        Err(error @ ClientError::Vault(_)) => Err(error),
        Err(error) if error.is_temporary() => Ok(Found::Waiting(waiting_for(&error, context, change))),
        Err(error) => Ok(Found::Refused(error.to_string())),
        found => found,
    }
}

/// Whose relay is out of reach.
fn waiting_for(error: &ClientError, context: &Context, change: &ChangeRow) -> String {
    let theirs = match change.change.about() {
        Some(Who::Alias(alias)) => Some(alias.domain),
        _ => None,
    };
    match (error, theirs) {
        (ClientError::Unreachable { .. }, _) => format!("waiting for {}", context.owner.alias.domain),
        (ClientError::Refused { .. }, Some(domain)) => format!("waiting for {domain}"),
        (error, _) => error.to_string(),
    }
}

/// Who is named, where a change is not about a member.
async fn person(context: &Context, change: &ChangeRow, alias: &Alias) -> Result<Found, ClientError> {
    let known = contacts::by_alias(context.vault.read().await?.db()?, alias).await?;
    let account = match known {
        Some(contact) => contact.account.id(),
        // Nobody is in a room of this device whose alias was never heard of here.
        None if !matches!(change.change, RoomChange::Ban { .. } | RoomChange::Unban { .. }) => {
            return Ok(Found::Ready);
        }
        None => meet(context, alias).await?.account.id(),
    };
    let mut tx = context.vault.begin().await?;
    changes::set_account(tx.db()?, change.id, &account).await?;
    tx.commit().await?;
    Ok(Found::Ready)
}

/// Looks somebody up, and takes in who they are.
async fn meet(context: &Context, alias: &Alias) -> Result<KnownAccount, ClientError> {
    let known = trust::look_up(context, alias).await?;
    let mut tx = context.vault.begin().await?;
    let recognised = trust::recognise(tx.db()?, &known).await;
    // What was noted of a newcomer stays.
    tx.commit().await?;
    recognised.map(|()| known)
}

/// Key packages of who is to come in.
async fn newcomer(
    context: &Context,
    room: &RoomRow,
    change: &ChangeRow,
    alias: &Alias,
) -> Result<Found, ClientError> {
    let own = context.owner.account.id();
    let agreed = contexts::at(context.vault.read().await?.db()?, &room.room, room.epoch).await?;
    if let Some(agreed) = agreed.filter(|agreed| agreed.role(&own) < agreed.policy.add) {
        let least = agreed.policy.add;
        let why = format!("only {least}s of the room may add people, and you are {}", agreed.role(&own));
        return Ok(Found::Refused(why));
    }
    if change.due > context.relay.time().await {
        return Ok(Found::Ready);
    }
    let known = match &change.account {
        Some(account) => claimed(context, room, alias, account).await?,
        None => None,
    };
    let known = match known {
        Some(known) => known,
        None => meet(context, alias).await?,
    };
    let account = known.account.id();
    let mut tx = context.vault.begin().await?;
    changes::set_account(tx.db()?, change.id, &account).await?;
    // Whoever is invited by name is somebody whom one knows.
    contacts::consent(tx.db()?, &account).await?;
    let there = members::find(tx.db()?, &room.room, &account).await?.is_some();
    let agreed = contexts::at(tx.db()?, &room.room, room.epoch).await?;
    tx.commit().await?;
    if there || agreed.is_some_and(|agreed| agreed.is_banned(&account)) {
        return Ok(Found::Ready);
    }
    let packages = claim::claim(context, &known, Some(&room.room), room.suite).await?;
    let fit = fit_packages(&packages, &known.account, room.suite);
    if fit.is_empty() {
        claim::forget(context, Some(&room.room), &account).await?;
        return Ok(Found::Waiting(format!(
            "{alias} has no device that can be invited now; it is tried again with the next connection"
        )));
    }
    Ok(Found::Packages(account, fit))
}

/// Who they are, where key packages of theirs are here already: nobody needs to be asked then.
async fn claimed(
    context: &Context,
    room: &RoomRow,
    alias: &Alias,
    account: &AccountId,
) -> Result<Option<KnownAccount>, ClientError> {
    let mut reader = context.vault.read().await?;
    let claimed = claims::find(reader.db()?, Some(&room.room), account).await?;
    if claimed.is_none_or(|claimed| claimed.packages.is_none()) {
        return Ok(None);
    }
    let contact = contacts::by_account(reader.db()?, account).await?;
    Ok(contact.map(|contact| KnownAccount {
        alias: alias.clone(),
        account: contact.account,
        bound: Millis::default(),
    }))
}
