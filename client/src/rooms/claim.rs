//! Claiming key packages of somebody's devices, to invite them. The claim is durable before it is sent, so the same one is
//! asked again after a crash, and costs nobody a second key package.

use posthouse_crypto::KnownAccount;
use posthouse_spec::account::{ClaimedKeyPackages, KeyClaim};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, ClaimRequest, ClaimResponse};
use posthouse_spec::room::Suite;
use posthouse_spec::{AccountId, Incarnation, RoomId, Signed};
use reqwest::Method;

use crate::context::Context;
use crate::error::ClientError;
use crate::vault::claims;

/// How long a claim is worth repeating, milliseconds: a relay refuses one that is older than a day.
const CLAIM_LIFETIME_MS: u64 = 20 * 60 * 60 * 1000;

/// A key package of each of their devices, for a room; a direct room that is not made yet has no id.
///
/// # Errors
/// Where [`ClientError::is_temporary`], the same may work later.
pub(crate) async fn claim(
    context: &Context,
    known: &KnownAccount,
    room: Option<&RoomId>,
    suite: Suite,
) -> Result<ClaimedKeyPackages, ClientError> {
    let (owner, now) = (&context.owner, context.relay.time().await);
    let account = known.account.id();
    let before = claims::find(context.vault.read().await?.db()?, room, &account).await?;
    let claim: Signed<KeyClaim> = match before {
        Some(before) if now.abs_diff(before.made) < CLAIM_LIFETIME_MS => {
            if let Some(packages) = before.packages {
                return Ok(packages);
            }
            before.claim
        }
        _ => {
            let claim = owner.device.sign(&KeyClaim {
                claimant: owner.account.id(),
                device: owner.device.device_id(),
                alias: owner.alias.clone(),
                target: account,
                domain: known.account.home().clone(),
                suite: u16::try_from(suite.code()).unwrap_or_default(),
                created: now,
                nonce: Incarnation::new(rand::random()),
            });
            let mut tx = context.vault.begin().await?;
            claims::put(tx.db()?, room, &account, &claim, now).await?;
            tx.commit().await?;
            claim
        }
    };
    let doing = format!("invite {}", known.alias);
    let request = ClaimRequest { claim: Base64::of(&claim) };
    let asked = context.relay.ask(owner, &doing, Method::POST, "/v1/claims", Some(&request)).await;
    if let Err(ClientError::Refused { reason: Refusal::ClockSkew, .. }) = &asked {
        // With a clock that is right the next claim is taken; this one never.
        forget(context, room, &account).await?;
    }
    let answer: ClaimResponse = asked?;
    let packages: ClaimedKeyPackages = answer
        .key_packages
        .read()
        .map_err(|fault| context.relay.wrong(&doing, &format!("the key packages: {fault}")))?;
    let mut tx = context.vault.begin().await?;
    claims::set_packages(tx.db()?, room, &account, &packages).await?;
    tx.commit().await?;
    Ok(packages)
}

/// A claim that brought nothing is not repeated: the next one may.
pub(crate) async fn forget(
    context: &Context,
    room: Option<&RoomId>,
    account: &AccountId,
) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    claims::remove(tx.db()?, room, account).await?;
    Ok(tx.commit().await?)
}
