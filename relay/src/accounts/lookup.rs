//! Look-up: who is behind an alias, here or at another relay.

use posthouse_crypto::Verified;
use posthouse_spec::account::AccountRecord;
use posthouse_spec::client::Refusal;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse};
use posthouse_spec::{AccountId, Alias, AliasName, DeviceId, Domain, Malformed, ManifestSeq};

use super::service::{Accounts, store_failed};
use crate::error::{ApiError, ApiResult};

/// Somebody who was looked up.
#[derive(Debug)]
pub struct Found {
    /// Their record.
    pub record: AccountRecord,
    /// The manifest of their relay, whose ordering key signs the record's binding.
    pub manifest: Verified<Manifest>,
}

impl Accounts {
    /// Finds who is behind an alias. What another relay says is checked before it is handed on.
    ///
    /// # Errors
    /// Nobody is, or their relay cannot be asked or believed.
    pub async fn find(&self, by: &AccountId, alias: &Alias) -> ApiResult<Found> {
        self.limit_claims(by)?;
        if alias.domain == *self.domain() {
            let manifest = self.0.network.manifest(&alias.domain).await?;
            return Ok(Found { record: self.own_record(&alias.name).await?, manifest });
        }
        let answer = self.0.network.keys(&alias.domain, KeysRequest::Alias(alias.name.clone())).await?;
        let KeysResponse::Account(record) = answer else { return Err(refused(&alias.domain, answer)) };
        let checked = self.check_record(&alias.domain, &record, alias).await?;
        let (_, manifest) = checked.map_err(|fault| untrue(&alias.domain, alias, &fault))?;
        Ok(Found { record, manifest })
    }

    /// Finds a member of a room by account, here or at the relay where it lives. What another relay says is checked before
    /// it is handed on.
    ///
    /// # Errors
    /// It does not live there, or that relay cannot be asked or believed.
    pub async fn member(&self, by: &AccountId, account: &AccountId, home: &Domain) -> ApiResult<Found> {
        self.limit_claims(by)?;
        if home == self.domain() {
            let manifest = self.0.network.manifest(home).await?;
            return Ok(Found { record: self.record(account).await?, manifest });
        }
        let answer = self.0.network.keys(home, KeysRequest::Record(*account)).await?;
        let KeysResponse::Account(record) = answer else { return Err(refused(home, answer)) };
        let alias = alias_of(&record).map_err(|fault| untrue(home, account, &fault))?;
        let checked = self.check_record(home, &record, &alias).await?;
        let (known, manifest) = checked.map_err(|fault| untrue(home, account, &fault))?;
        if known.account.id() == *account && alias.domain == *home {
            Ok(Found { record, manifest })
        } else {
            Err(untrue(home, account, &format!("it is about {alias}")))
        }
    }

    /// The manifest of a relay, as this relay has verified it.
    ///
    /// # Errors
    /// The relay cannot be found or believed.
    pub async fn relay(&self, by: &AccountId, domain: &Domain) -> ApiResult<Verified<Manifest>> {
        self.limit_claims(by)?;
        Ok(self.0.network.manifest(domain).await?)
    }

    /// The manifest that stood at a position of a relay's chain.
    ///
    /// # Errors
    /// The relay cannot be found or believed, or never had one there.
    pub async fn relay_at(
        &self,
        by: &AccountId,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> ApiResult<Verified<Manifest>> {
        self.limit_claims(by)?;
        Ok(self.0.network.manifest_at(domain, seq).await?)
    }

    /// The record of an account by its name here.
    pub(super) async fn own_record(&self, name: &AliasName) -> ApiResult<AccountRecord> {
        let account = self.0.store.by_alias(name).await.map_err(store_failed("looking up an alias"))?;
        let record = match account {
            Some(account) => {
                self.0.store.record(&account).await.map_err(store_failed("looking up an account"))?
            }
            None => None,
        };
        let record = record.ok_or_else(|| {
            ApiError::new(
                Refusal::UnknownAccount,
                format!("nobody is called {name}@{}; check the spelling", self.domain()),
            )
        })?;
        self.recorded_now(record)
    }

    /// The record of an account by its id here.
    ///
    /// # Errors
    /// The account does not live here.
    pub async fn record(&self, account: &AccountId) -> ApiResult<AccountRecord> {
        let record = self.0.store.record(account).await.map_err(store_failed("looking up an account"))?;
        let record = record.ok_or_else(|| {
            ApiError::new(Refusal::UnknownAccount, format!("no such account at {}", self.domain()))
        })?;
        self.recorded_now(record)
    }

    /// The active devices of an account that lives here.
    ///
    /// # Errors
    /// The account does not live here.
    pub async fn devices(&self, account: &AccountId) -> ApiResult<Vec<DeviceId>> {
        let account = self.0.store.account(account).await.map_err(store_failed("looking up an account"))?;
        account.map(|account| account.devices().iter().map(|keys| keys.device).collect()).ok_or_else(|| {
            ApiError::new(Refusal::UnknownAccount, format!("no such account at {}", self.domain()))
        })
    }

    pub(super) fn limit_claims(&self, by: &AccountId) -> ApiResult<()> {
        self.0
            .limits
            .claims
            .take(*by, self.now())
            .map_err(|wait| ApiError::rate_limited("look-ups and claims", wait))
    }
}

/// The alias that a record is about, as it says.
fn alias_of(record: &AccountRecord) -> Result<Alias, Malformed> {
    Ok(record.binding.peek()?.claim.peek()?.alias)
}

/// Another relay said something of somebody that does not hold.
fn untrue(domain: &Domain, whom: &dyn std::fmt::Display, fault: &dyn std::fmt::Display) -> ApiError {
    let why = format!(
        "what {domain} says of {whom} does not hold ({fault}); do not trust it, and tell its operator"
    );
    ApiError::new(Refusal::InvalidSignature, why)
}

/// What another relay's answer means that is not the one asked for.
pub(super) fn refused(domain: &Domain, answer: KeysResponse) -> ApiError {
    match answer {
        KeysResponse::Refused(refusal) => ApiError::new(refusal.reason, refusal.detail.as_str()),
        KeysResponse::Rejected(rule) => {
            tracing::warn!(%domain, rule = %rule.rule, detail = %rule.detail, "another relay rejected a request");
            ApiError::new(
                Refusal::RelayUnreachable,
                format!("{domain} rejects this relay's requests ({}): {}", rule.rule, rule.detail),
            )
        }
        _ => ApiError::new(
            Refusal::RelayUnreachable,
            format!("{domain} answered something else than was asked; tell its operator"),
        ),
    }
}
