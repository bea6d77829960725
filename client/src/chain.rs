//! A relay's chain of manifests: following it forward when the relay has replaced its keys, and back to the manifest
//! under which something was signed.
//!
//! A relay that changed its root several times since it was met is followed link by link. A decision is checked with the
//! ordering key of the manifest that it names; an earlier one counts only if the hashes lead to it from the newest one.

use posthouse_crypto::manifest::ManifestFault;
use posthouse_crypto::room::check_decided;
use posthouse_crypto::{Verified, follow, precedes};
use posthouse_spec::client::http::RelayResponse;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{Decided, Decision};
use posthouse_spec::{Domain, ManifestSeq, Signed};
use reqwest::Method;
use sqlx::sqlite::SqliteConnection;

use crate::clock;
use crate::context::Context;
use crate::error::{ClientError, VaultError};
use crate::vault::relays;

/// Links that are fetched for one manifest at most: a relay that changes its keys every day is found again after months.
const MAX_FETCHED: u64 = 256;

/// What a decision is worth, by the manifests that are here.
pub(crate) enum Word {
    /// The hub has signed it.
    Holds(Box<Decision>),
    /// The manifest that it names is not here.
    NeedsManifest,
    /// It will never hold.
    Bad(String),
}

/// Checks the signature of a decision with what is known of its hub.
pub(crate) async fn check_decision(
    db: &mut SqliteConnection,
    hub: &Verified<Manifest>,
    decided: &Decided,
) -> Result<Word, ClientError> {
    let named = match decided.decision.peek() {
        Ok(decision) => decision.manifest,
        Err(fault) => return Ok(Word::Bad(fault.to_string())),
    };
    let fault = match check_decided(decided, &hub.ordering) {
        Ok(decision) => return Ok(Word::Holds(Box::new(decision.into_inner()))),
        Err(fault) if named == hub.seq => return Ok(Word::Bad(fault.to_string())),
        Err(fault) => fault,
    };
    if named == ManifestSeq(0) {
        return Ok(Word::Bad(fault.to_string()));
    }
    let Some(at) = kept(db, &hub.domain, named).await? else { return Ok(Word::NeedsManifest) };
    Ok(match check_decided(decided, &at.ordering) {
        Ok(decision) => Word::Holds(Box::new(decision.into_inner())),
        Err(fault) => Word::Bad(fault.to_string()),
    })
}

async fn kept(
    db: &mut SqliteConnection,
    domain: &Domain,
    seq: ManifestSeq,
) -> Result<Option<Verified<Manifest>>, ClientError> {
    let Some(link) = relays::link_from(db, domain, seq).await? else { return Ok(None) };
    Ok(Some(verified(domain, &link)?).filter(|link| link.seq == seq))
}

/// A manifest from the vault.
pub(crate) fn verified(
    domain: &Domain,
    manifest: &Signed<Manifest>,
) -> Result<Verified<Manifest>, VaultError> {
    follow(domain, None, manifest)
        .map_err(|fault| VaultError::Content(format!("the manifest of {domain}: {fault}")))
}

/// Takes a manifest if it follows the pinned one, by itself or over links that are fetched, and pins it.
pub(crate) async fn follow_relay(
    context: &Context,
    domain: &Domain,
    manifest: &Signed<Manifest>,
) -> Result<Verified<Manifest>, ClientError> {
    match take(context, domain, manifest).await? {
        Ok(taken) => return Ok(taken),
        Err((pinned, ManifestFault::Root)) => {
            let claimed = manifest.peek().map_err(|fault| untrusted(domain, &fault))?;
            let missing = pinned.0 + 1..claimed.seq.0;
            if missing.is_empty() || missing.end - missing.start > MAX_FETCHED {
                return Err(untrusted(domain, &ManifestFault::Root));
            }
            for seq in missing {
                let link = ask_link(context, domain, ManifestSeq(seq)).await?;
                take(context, domain, &link).await?.map_err(|(_, fault)| untrusted(domain, &fault))?;
            }
        }
        Err((_, fault)) => return Err(untrusted(domain, &fault)),
    }
    take(context, domain, manifest).await?.map_err(|(_, fault)| untrusted(domain, &fault))
}

/// Pins a manifest that follows the pinned one by itself; where it does not, says where that one stands.
async fn take(
    context: &Context,
    domain: &Domain,
    manifest: &Signed<Manifest>,
) -> Result<Result<Verified<Manifest>, (ManifestSeq, ManifestFault)>, ClientError> {
    let mut tx = context.vault.begin().await?;
    let pinned = relays::pinned(tx.db()?, domain).await?;
    let taken = match follow(domain, pinned.as_ref(), manifest) {
        Ok(verified) => {
            if pinned.as_ref() != Some(manifest) {
                relays::pin(tx.db()?, domain, manifest, clock::now()).await?;
            }
            Ok(verified)
        }
        Err(fault) => {
            let at = pinned.as_ref().map(|pinned| verified(domain, pinned)).transpose()?;
            Err((at.map_or(ManifestSeq(0), |at| at.seq), fault))
        }
    };
    tx.commit().await?;
    Ok(taken)
}

/// Sees to it that the manifest at `seq` of a relay's chain is here, if the chain has got there.
pub(crate) async fn provide(
    context: &Context,
    newest: &Verified<Manifest>,
    seq: ManifestSeq,
) -> Result<(), ClientError> {
    let domain = &newest.domain;
    if seq >= newest.seq || seq == ManifestSeq(0) {
        return Ok(());
    }
    let from = relays::link_from(context.vault.read().await?.db()?, domain, seq).await?;
    let mut later = from.map(|link| verified(domain, &link)).transpose()?.unwrap_or_else(|| newest.clone());
    if later.seq.0.saturating_sub(seq.0) > MAX_FETCHED {
        return Err(untrusted(domain, &"it has changed its keys too often since to be followed back"));
    }
    while later.seq > seq {
        let link = ask_link(context, domain, ManifestSeq(later.seq.0 - 1)).await?;
        later = precedes(domain, &later, &link).map_err(|fault| untrusted(domain, &fault))?;
        let mut tx = context.vault.begin().await?;
        relays::keep(tx.db()?, domain, &link).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Asks the own relay for one link of a relay's chain.
async fn ask_link(
    context: &Context,
    domain: &Domain,
    seq: ManifestSeq,
) -> Result<Signed<Manifest>, ClientError> {
    let doing = format!("follow the keys of the relay {domain}");
    let path = format!("/v1/relays/{domain}/manifests/{seq}");
    let answer: RelayResponse =
        context.relay.ask(&context.owner, &doing, Method::GET, &path, None::<&()>).await?;
    answer
        .manifest
        .read()
        .map_err(|fault| context.relay.wrong(&doing, &format!("manifest {seq} of {domain}: {fault}")))
}

fn untrusted(domain: &Domain, why: &dyn std::fmt::Display) -> ClientError {
    ClientError::UntrustedRelay { domain: domain.clone(), why: why.to_string() }
}
