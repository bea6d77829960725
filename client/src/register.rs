//! Registration: the vault first, and then the relay.
//!
//! Keys, recovery code and account are durable before anything is sent, and the relay gives the same answer to the same
//! registration. So one that was cut short anywhere is taken up again by doing it again.

use posthouse_crypto::identity::genesis;
use posthouse_crypto::{Account, RecoveryCode, SealSecret, SigningKey, Verified, follow, verify};
use posthouse_spec::account::{AliasBinding, AliasClaim, Chain, DeviceKeys};
use posthouse_spec::cbor::List;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, RegisterRequest, RegisterResponse};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Alias, Domain, Incarnation, Signed};

use crate::clock;
use crate::connection::{Relay, RelayUrl};
use crate::error::{ClientError, VaultError};
use crate::vault::owner::{self, Owner};
use crate::vault::{Vault, backup_key, relays};

/// Finds the registration that was begun in this vault, or begins one.
pub(crate) async fn begin(
    vault: &Vault,
    alias: &Alias,
    relay_url: Option<&str>,
) -> Result<Owner, ClientError> {
    let url = match relay_url {
        Some(url) => RelayUrl::parse(url)?,
        None => RelayUrl::default_for(&alias.domain)?,
    };
    let mut tx = vault.begin().await?;
    let begun = owner::load(tx.db()?).await?;
    let owner = match begun {
        Some(begun) if begun.alias != *alias => {
            return Err(if begun.registered.is_some() {
                ClientError::AlreadyRegistered(begun.alias)
            } else {
                ClientError::OtherRegistration { begun: begun.alias, asked: alias.clone() }
            });
        }
        Some(begun) if begun.registered.is_some() && begun.recovery.is_none() => {
            return Err(ClientError::AlreadyRegistered(begun.alias));
        }
        Some(mut begun) => {
            // A wrong URL must not be a trap: the one that is named now counts.
            if relay_url.is_some() {
                owner::set_relay_url(tx.db()?, url.as_str()).await?;
                begun.relay_url = url.as_str().to_owned();
            }
            begun
        }
        None => {
            let owner = make(alias, &url)?;
            owner::insert(tx.db()?, &owner, clock::now()).await?;
            if let Some(code) = owner.recovery.as_ref().and_then(|words| RecoveryCode::parse(words).ok()) {
                backup_key::put(tx.db()?, &code).await?;
            }
            owner
        }
    };
    tx.commit().await?;
    Ok(owner)
}

/// A new account with its first device.
fn make(alias: &Alias, url: &RelayUrl) -> Result<Owner, ClientError> {
    let now = clock::now();
    let rng = &mut rand::rng();
    let code = RecoveryCode::generate(rng);
    let device = SigningKey::generate(rng);
    let seal = SealSecret::generate(rng);
    let keys = DeviceKeys { device: device.device_id(), seal: seal.public() };
    let first = genesis(&code.signing_key(), keys, alias.domain.clone(), rng, now);
    let account = Account::validate(&[first]).map_err(|fault| VaultError::Content(fault.to_string()))?;
    let claim = device.sign(&AliasClaim { alias: alias.clone(), account: account.id(), created: now });
    Ok(Owner {
        alias: alias.clone(),
        relay_url: url.as_str().to_owned(),
        device,
        seal,
        recovery: Some(code.words()),
        account,
        claim,
        incarnation: Incarnation::new(rand::random()),
        registered: None,
        restored: None,
    })
}

/// Asks a relay who it is, and checks that it is the one that is meant.
async fn meet(
    vault: &Vault,
    relay: &Relay,
    doing: &str,
    domain: &Domain,
) -> Result<(Signed<Manifest>, Verified<Manifest>), ClientError> {
    let offered = relay.manifest(doing).await?;
    let found = offered.peek().map_err(|fault| relay.wrong(doing, &format!("its manifest: {fault}")))?.domain;
    if found != *domain {
        let (url, expected) = (relay.url().as_str().to_owned(), domain.clone());
        return Err(ClientError::OtherRelay { url, expected, found });
    }
    let pinned = relays::pinned(vault.read().await?.db()?, domain).await?;
    let manifest = follow(domain, pinned.as_ref(), &offered)
        .map_err(|fault| ClientError::UntrustedRelay { domain: domain.clone(), why: fault.to_string() })?;
    Ok((offered, manifest))
}

/// Has the relay confirm the registration.
pub(crate) async fn confirm(
    vault: &Vault,
    relay: &Relay,
    owner: &mut Owner,
    invite: Option<&str>,
) -> Result<(), ClientError> {
    if owner.registered.is_some() {
        return Ok(());
    }
    let doing = format!("register {}", owner.alias);
    let domain = &owner.alias.domain;
    let (mut offered, mut manifest) = meet(vault, relay, &doing, domain).await?;
    let chain: Chain = List::new(owner.account.chain().to_vec())
        .map_err(|fault| VaultError::Content(format!("the own chain: {fault}")))?;
    let request = RegisterRequest {
        chain: Base64::of(&chain),
        claim: Base64::of(&owner.claim),
        invite: invite.map(str::to_owned),
    };
    let answer = relay.ask_openly(&doing, "/v1/accounts", &request).await;
    if let Err(ClientError::Refused { reason: Refusal::AliasTaken, .. }) = &answer {
        // The relay would know this registration again if it had ever taken it, so nothing is lost with it, and another
        // alias can be chosen.
        let mut tx = vault.begin().await?;
        owner::forget(tx.db()?).await?;
        tx.commit().await?;
    }
    let answer: RegisterResponse = answer?;
    let wrong = |why: String| relay.wrong(&doing, &format!("the binding of the alias: {why}"));
    let binding: Signed<AliasBinding> = answer.binding.read().map_err(|fault| wrong(fault.to_string()))?;
    if binding.kid() != manifest.ordering {
        // The relay may have replaced its key in this moment.
        (offered, manifest) = meet(vault, relay, &doing, domain).await?;
    }
    let bound = verify(&binding, &manifest.ordering).map_err(|error| wrong(error.to_string()))?;
    if bound.claim != owner.claim {
        return Err(wrong("it is for another claim".to_owned()));
    }
    let now = clock::now();
    let mut tx = vault.begin().await?;
    relays::pin(tx.db()?, domain, &offered, now).await?;
    owner::confirm(tx.db()?, &binding, now).await?;
    tx.commit().await?;
    owner.registered = Some(now);
    Ok(())
}
