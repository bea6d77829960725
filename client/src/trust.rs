//! Who is who: relays by their manifests, people by the records that relays hand out. Nothing that a relay says is
//! believed before it was checked against what is pinned.

use posthouse_crypto::{Account, KnownAccount, Verified, event_hash, verify_record};
use posthouse_spec::account::AccountRecord;
use posthouse_spec::client::http::{AccountResponse, RelayResponse};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::Decided;
use posthouse_spec::{AccountId, Alias, Domain, Signed};
use reqwest::Method;
use sqlx::sqlite::SqliteConnection;

use crate::chain::{self, follow_relay, verified};
use crate::clock;
use crate::context::Context;
use crate::error::ClientError;
use crate::vault::contacts::{self, Contact};
use crate::vault::relays;

/// No body.
const NOTHING: Option<&()> = None;

/// The manifest of a relay that is pinned here.
pub(crate) async fn pinned_relay(
    db: &mut SqliteConnection,
    domain: &Domain,
) -> Result<Option<Verified<Manifest>>, ClientError> {
    let Some(manifest) = relays::pinned(db, domain).await? else { return Ok(None) };
    Ok(Some(verified(domain, &manifest)?))
}

/// Asks the own relay for the manifest of another one.
pub(crate) async fn ask_relay(context: &Context, domain: &Domain) -> Result<Verified<Manifest>, ClientError> {
    let doing = format!("find the relay {domain}");
    let path = format!("/v1/relays/{domain}");
    let answer: RelayResponse =
        context.relay.ask(&context.owner, &doing, Method::GET, &path, NOTHING).await?;
    let manifest = answer
        .manifest
        .read()
        .map_err(|fault| context.relay.wrong(&doing, &format!("the manifest of {domain}: {fault}")))?;
    follow_relay(context, domain, &manifest).await
}

/// The manifest of a relay: the pinned one, or else from the own relay.
pub(crate) async fn relay(context: &Context, domain: &Domain) -> Result<Verified<Manifest>, ClientError> {
    let pinned = pinned_relay(context.vault.read().await?.db()?, domain).await?;
    match pinned {
        Some(manifest) => Ok(manifest),
        None => ask_relay(context, domain).await,
    }
}

/// The manifest of a relay, new enough for a decision of its own; and the one that the decision names is here, too.
pub(crate) async fn relay_for(
    context: &Context,
    domain: &Domain,
    decided: &Decided,
) -> Result<Verified<Manifest>, ClientError> {
    let mut newest = relay(context, domain).await?;
    // What is malformed is found out where it is checked.
    let Ok(decision) = decided.decision.peek() else { return Ok(newest) };
    if decision.manifest > newest.seq {
        newest = ask_relay(context, domain).await?;
    }
    if decided.decision.kid() != newest.ordering {
        chain::provide(context, &newest, decision.manifest).await?;
    }
    Ok(newest)
}

/// Asks who stands behind an alias, and checks every part of the answer. Whether they are who they were is for
/// [`recognise`] to say.
pub(crate) async fn look_up(context: &Context, alias: &Alias) -> Result<KnownAccount, ClientError> {
    let doing = format!("find {alias}");
    let path = format!("/v1/aliases/{alias}");
    let answer: AccountResponse =
        context.relay.ask(&context.owner, &doing, Method::GET, &path, NOTHING).await?;
    let untrusted = |why: String| ClientError::UntrustedAccount { alias: alias.clone(), why };
    let manifest: Signed<Manifest> =
        answer.manifest.read().map_err(|fault| untrusted(format!("their relay's manifest: {fault}")))?;
    let manifest = follow_relay(context, &alias.domain, &manifest).await?;
    let record: AccountRecord = answer.record.read().map_err(|fault| untrusted(fault.to_string()))?;
    verify_record(&record, Some(alias), &manifest.ordering).map_err(|fault| untrusted(fault.to_string()))
}

/// Asks who has an account at the relay that one of its devices names, and checks every part of the answer.
pub(crate) async fn find_account(
    context: &Context,
    account: &AccountId,
    home: &Domain,
) -> Result<KnownAccount, ClientError> {
    let doing = format!("find a member of a room at {home}");
    let path = format!("/v1/accounts/{account}?home={home}");
    let answer: AccountResponse =
        context.relay.ask(&context.owner, &doing, Method::GET, &path, NOTHING).await?;
    let untrusted = |why: String| ClientError::UntrustedMember { home: home.clone(), why };
    let manifest: Signed<Manifest> =
        answer.manifest.read().map_err(|fault| untrusted(format!("its manifest: {fault}")))?;
    let manifest = follow_relay(context, home, &manifest).await?;
    let record: AccountRecord = answer.record.read().map_err(|fault| untrusted(fault.to_string()))?;
    let known =
        verify_record(&record, None, &manifest.ordering).map_err(|fault| untrusted(fault.to_string()))?;
    if known.account.id() != *account {
        return Err(untrusted("it is the record of another account".to_owned()));
    }
    // A relay binds aliases of its own domain only.
    if known.alias.domain != *home {
        return Err(untrusted(format!("{} is no alias of that relay", known.alias)));
    }
    Ok(known)
}

/// Takes in who a member of a room is. Where the alias is pinned to another account, they are
/// known by their account alone; where they are known by another alias, by that: a room makes nobody into somebody else.
pub(crate) async fn meet_member(db: &mut SqliteConnection, known: &KnownAccount) -> Result<(), ClientError> {
    let before = contacts::by_account(&mut *db, &known.account.id()).await?;
    let named = before.as_ref().and_then(|before| before.alias.as_ref());
    if named.is_some_and(|named| *named != known.alias) {
        check_history(before.as_ref(), known)?;
        return Ok(contacts::learn_without_alias(db, known, clock::now()).await?);
    }
    match recognise(&mut *db, known).await {
        Err(ClientError::AccountChanged(_)) => {
            Ok(contacts::learn_without_alias(db, known, clock::now()).await?)
        }
        met => met,
    }
}

/// Takes what was found of somebody into the vault, if they are who they were.
///
/// # Errors
/// [`ClientError::AccountChanged`] where the alias is pinned to another account; that is noted as a newcomer, and the
/// caller commits the note.
pub(crate) async fn recognise(db: &mut SqliteConnection, known: &KnownAccount) -> Result<(), ClientError> {
    let now = clock::now();
    if let Some(pinned) = contacts::by_alias(&mut *db, &known.alias).await?
        && pinned.account.id() != known.account.id()
    {
        contacts::put_newcomer(db, known, now).await?;
        return Err(ClientError::AccountChanged(known.alias.clone()));
    }
    check_history(contacts::by_account(&mut *db, &known.account.id()).await?.as_ref(), known)?;
    contacts::learn(db, known, now).await?;
    Ok(())
}

/// What is known of an account and what was found of it are one history.
fn check_history(before: Option<&Contact>, known: &KnownAccount) -> Result<(), ClientError> {
    match before {
        Some(before) if !agree(&before.account, &known.account) => Err(ClientError::UntrustedAccount {
            alias: known.alias.clone(),
            why: "their account has two histories that contradict each other; ask them which devices are theirs"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Whether one chain is the beginning of the other.
fn agree(a: &Account, b: &Account) -> bool {
    a.chain().iter().zip(b.chain()).all(|(a, b)| event_hash(a) == event_hash(b))
}
