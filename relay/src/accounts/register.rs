//! Registration: an account gets an alias at this relay.

use std::net::IpAddr;

use posthouse_crypto::{Account, sha256, verify_any};
use posthouse_spec::account::{AliasBinding, AliasClaim, Chain};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::RegisterRequest;
use posthouse_spec::{DeviceId, Signed};

use super::service::{Accounts, by_address, store_failed};
use crate::config::Registration;
use crate::error::{ApiError, ApiResult};
use crate::store::RegisterOutcome;

impl Accounts {
    /// Registers an account. The same request again gets the same answer.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub async fn register(&self, request: &RegisterRequest, from: IpAddr) -> ApiResult<Signed<AliasBinding>> {
        let now = self.now();
        by_address(&self.0.limits.registrations, "registrations", from, now)?;
        let account = self.own_account(request)?;
        let claim = self.alias_claim(request, &account)?;
        let name = claim.alias.name.clone();
        let invite = self.invite(request.invite.as_deref(), &account, &name).await?;
        let binding =
            self.0.ordering.current().sign(&AliasBinding { claim: claim.signed().clone(), bound: now });
        let outcome = self
            .0
            .store
            .register(now, &account, &name, &binding, invite)
            .await
            .map_err(store_failed("registering an account"))?;
        match outcome {
            RegisterOutcome::Registered => {
                tracing::info!(account = ?account.id(), "an account was registered");
                Ok(binding)
            }
            RegisterOutcome::Same(binding) => self.bound_now(binding),
            RegisterOutcome::AliasTaken => Err(ApiError::new(
                Refusal::AliasTaken,
                format!(
                    "{} is taken, or this account has another name here; choose another name",
                    claim.alias
                ),
            )),
            RegisterOutcome::InvalidInvite => Err(bad_invite()),
        }
    }

    fn own_account(&self, request: &RegisterRequest) -> ApiResult<Account> {
        let chain: Chain =
            request.chain.read().map_err(|fault| ApiError::malformed("the account's chain", fault))?;
        let account = Account::validate(&chain).map_err(|fault| {
            ApiError::new(Refusal::InvalidSignature, format!("the account's chain does not hold: {fault}"))
        })?;
        if account.home() != self.domain() {
            return Err(ApiError::new(
                Refusal::InvalidSignature,
                format!(
                    "the account names {} as its home, and this is the relay {}; register there, or make an account for here",
                    account.home(),
                    self.domain()
                ),
            ));
        }
        Ok(account)
    }

    fn alias_claim(
        &self,
        request: &RegisterRequest,
        account: &Account,
    ) -> ApiResult<posthouse_crypto::Verified<AliasClaim>> {
        let signed: Signed<AliasClaim> =
            request.claim.read().map_err(|fault| ApiError::malformed("the alias claim", fault))?;
        let claim = verify_any(&signed, |key| account.is_active(&DeviceId::new(*key.as_bytes()))).map_err(
            |fault| {
                ApiError::new(
                    Refusal::InvalidSignature,
                    format!("the alias claim is not signed by an active device of the account: {fault}"),
                )
            },
        )?;
        if claim.account != account.id() {
            return Err(ApiError::new(
                Refusal::InvalidSignature,
                "the alias claim is for another account than the chain's",
            ));
        }
        if claim.alias.domain != *self.domain() {
            return Err(ApiError::new(
                Refusal::InvalidSignature,
                format!("{} is not a name of this relay, which is {}", claim.alias, self.domain()),
            ));
        }
        Ok(claim)
    }

    /// The hash of the invite token, where one is needed.
    async fn invite(
        &self,
        token: Option<&str>,
        account: &Account,
        name: &posthouse_spec::AliasName,
    ) -> ApiResult<Option<[u8; 32]>> {
        if self.0.registration == Registration::Open {
            return Ok(None);
        }
        // Who is registered already gets the earlier answer, whatever the rule is now.
        let known = self.0.store.by_alias(name).await.map_err(store_failed("looking up an alias"))?;
        if known == Some(account.id()) {
            return Ok(None);
        }
        match (self.0.registration, token) {
            (Registration::Closed, _) => Err(ApiError::new(
                Refusal::RegistrationClosed,
                "this relay takes no registrations; ask its operator",
            )),
            (_, Some(token)) => Ok(Some(sha256(token.trim().as_bytes()))),
            (_, None) => Err(bad_invite()),
        }
    }
}

fn bad_invite() -> ApiError {
    ApiError::new(
        Refusal::InvalidInvite,
        "this relay asks for an invite token, and yours is missing, wrong, expired or used up; ask its operator for one",
    )
}
