//! Keeping the relay stocked with key packages, by which others invite this device while it is away.

use posthouse_crypto::room::member::key_package;
use posthouse_spec::Millis;
use posthouse_spec::client::http::{Base64, KeyPackageCounts, KeyPackageUpload};
use posthouse_spec::limits::{KEY_PACKAGES_PER_DEVICE, LEAF_CLAIM_LIFETIME_MS, MAX_UPLOAD};
use posthouse_spec::room::Suite;
use reqwest::Method;

use crate::context::Context;
use crate::error::ClientError;
use crate::rooms::identity::leaf_identity;
use crate::vault::key_packages::{self, Pending};

/// Below this many at the relay more are made.
const LOW_WATER: u64 = KEY_PACKAGES_PER_DEVICE as u64 / 2;
/// After this time the last resort is replaced, milliseconds: long before its claim lapses and nobody could use it.
const LAST_RESORT_RENEWAL_MS: u64 = LEAF_CLAIM_LIFETIME_MS / 3;
/// What the relay is asked for, as errors say it.
const DOING: &str = "keep key packages at the relay";
/// Where they go.
const PATH: &str = "/v1/key-packages";

/// Brings both suites up to full stock. Private parts are durable before public ones leave; what was made and may not have
/// arrived is sent again first.
pub(crate) async fn top_up(context: &Context) -> Result<(), ClientError> {
    let counts: KeyPackageCounts =
        context.relay.ask(&context.owner, DOING, Method::GET, PATH, None::<&()>).await?;
    for (suite, at_relay) in [(Suite::PostQuantum, counts.post_quantum), (Suite::Classic, counts.classic)] {
        upload(context, suite).await?;
        if make(context, suite, at_relay).await? {
            upload(context, suite).await?;
        }
    }
    Ok(())
}

/// Makes what is missing; `false` where nothing is.
async fn make(context: &Context, suite: Suite, at_relay: u64) -> Result<bool, ClientError> {
    let now = context.relay.time().await;
    let mut tx = context.vault.begin().await?;
    let recent = Millis(now.0.saturating_sub(LAST_RESORT_RENEWAL_MS));
    let has_last_resort = key_packages::has_last_resort(tx.db()?, suite, recent).await?;
    let missing = if at_relay < LOW_WATER { KEY_PACKAGES_PER_DEVICE as u64 - at_relay } else { 0 };
    let wanted = (0..missing).map(|_| false).chain((!has_last_resort).then_some(true));
    let mut made = false;
    for last_resort in wanted {
        let identity = leaf_identity(&context.owner);
        let package = key_package(tx.keys(), &identity, suite, last_resort, &mut rand::rng(), now)
            .map_err(|error| ClientError::Room { doing: DOING.to_owned(), why: error.to_string() })?;
        key_packages::insert(tx.db()?, suite, last_resort, &package, now).await?;
        made = true;
    }
    tx.commit().await?;
    Ok(made)
}

/// Sends what may not be at the relay yet.
async fn upload(context: &Context, suite: Suite) -> Result<(), ClientError> {
    let pending = key_packages::pending(context.vault.read().await?.db()?, suite).await?;
    for batch in pending.chunks(MAX_UPLOAD) {
        let base64 = |package: &Pending| Base64(package.bytes.clone());
        let request = KeyPackageUpload {
            suite: u16::try_from(suite.code()).unwrap_or_default(),
            key_packages: batch.iter().filter(|package| !package.last_resort).map(base64).collect(),
            last_resort: batch.iter().find(|package| package.last_resort).map(base64),
        };
        let _: KeyPackageCounts =
            context.relay.ask(&context.owner, DOING, Method::POST, PATH, Some(&request)).await?;
        let mut tx = context.vault.begin().await?;
        key_packages::uploaded(tx.db()?, batch).await?;
        tx.commit().await?;
    }
    Ok(())
}
