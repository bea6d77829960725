//! Claims: a device asks for one key package of each device of somebody, to invite them.

use posthouse_crypto::{Account, Verified, verify};
use posthouse_spec::account::{AccountRecord, ClaimedKeyPackages, KeyClaim};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::ClaimRequest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, keys};
use posthouse_spec::{Millis, Signed};

use super::lookup::refused;
use super::service::{Accounts, store_failed};
use crate::error::{ApiError, ApiResult};
use crate::mailbox::MailboxKey;
use crate::store::ClaimOutcome;

/// How far a claim's time may be from the relay's, milliseconds: a day.
const MAX_CLAIM_AGE_MS: u64 = 24 * 60 * 60 * 1000;

impl Accounts {
    /// Claims key packages for a device of this relay, from this relay or another.
    ///
    /// # Errors
    /// The claim does not hold, or the other relay says no.
    pub async fn claim(&self, who: MailboxKey, request: &ClaimRequest) -> ApiResult<ClaimedKeyPackages> {
        self.limit_claims(&who.account)?;
        let signed: Signed<KeyClaim> =
            request.claim.read().map_err(|fault| ApiError::malformed("the key claim", fault))?;
        let account = self
            .0
            .store
            .account(&who.account)
            .await
            .map_err(store_failed("looking up an account"))?
            .ok_or_else(|| ApiError::new(Refusal::UnknownAccount, "the session's account is gone"))?;
        let claim = check_claim(&signed, &account, self.now())?;
        if claim.claimant != who.account {
            return Err(ApiError::new(Refusal::InvalidSignature, "the claim is in another account's name"));
        }
        let record = self.record(&who.account).await?;
        self.must_be_own_alias(&claim, &record)?;
        if claim.domain == *self.domain() {
            return self.hand_out(&claim).await;
        }
        let request = keys::ClaimRequest { claim: signed, claimant: record };
        match self.0.network.keys(&claim.domain, KeysRequest::Claim(request)).await? {
            KeysResponse::KeyPackages(packages) => Ok(packages),
            other => Err(refused(&claim.domain, other)),
        }
    }

    fn must_be_own_alias(&self, claim: &KeyClaim, record: &AccountRecord) -> ApiResult<()> {
        let own = record
            .binding
            .peek()
            .and_then(|binding| binding.claim.peek())
            .map_err(|fault| ApiError::internal("reading a stored alias binding", &fault))?;
        if own.alias == claim.alias {
            return Ok(());
        }
        Err(ApiError::new(
            Refusal::InvalidSignature,
            format!("the claim calls its account {}, which is {} here", claim.alias, own.alias),
        ))
    }

    /// Hands out key packages of an account that lives here, for a claim that was checked.
    pub(super) async fn hand_out(&self, claim: &Verified<KeyClaim>) -> ApiResult<ClaimedKeyPackages> {
        let outcome =
            self.0.store.claim(self.now(), claim).await.map_err(store_failed("claiming key packages"))?;
        match outcome {
            ClaimOutcome::Claimed(packages) => Ok(packages),
            ClaimOutcome::UnknownAccount => Err(ApiError::new(
                Refusal::UnknownAccount,
                format!("no such account at {}; look its alias up again", self.domain()),
            )),
        }
    }
}

/// Checks a claim's signature against the claimant's account, and its age.
pub(super) fn check_claim(
    signed: &Signed<KeyClaim>,
    account: &Account,
    now: Millis,
) -> ApiResult<Verified<KeyClaim>> {
    let claimed = signed.peek().map_err(|fault| ApiError::malformed("the key claim", fault))?;
    let claim = verify(signed, &claimed.device.into()).map_err(|fault| {
        ApiError::new(Refusal::InvalidSignature, format!("the claim is not signed by its device: {fault}"))
    })?;
    if claim.claimant != account.id() || !account.is_active(&claim.device) {
        return Err(ApiError::new(
            Refusal::InvalidSignature,
            "the claim is not signed by an active device of its account",
        ));
    }
    if claim.created.abs_diff(now) > MAX_CLAIM_AGE_MS {
        return Err(ApiError::new(
            Refusal::ClockSkew,
            "the claim's time is more than a day from this relay's; set the device's clock and try again",
        ));
    }
    Ok(claim)
}
