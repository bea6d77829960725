//! What other relays may ask about the accounts here.

use async_trait::async_trait;
use posthouse_spec::Domain;
use posthouse_spec::account::ClaimedKeyPackages;
use posthouse_spec::cbor::Text;
use posthouse_spec::client::Refusal;
use posthouse_spec::peer::keys::{ClaimRequest, KeysRequest, KeysResponse};
use posthouse_spec::peer::room::RoomRefusal;

use super::claims::check_claim;
use super::service::{Accounts, store_failed};
use crate::error::{ApiError, ApiResult};
use crate::outbox::KeysService;

#[async_trait]
impl KeysService for Accounts {
    async fn keys(&self, from: &Domain, request: KeysRequest) -> KeysResponse {
        let answer = match self.0.limits.peers.take(from.clone(), self.now()) {
            Err(wait) => Err(ApiError::rate_limited("look-ups and claims", wait)),
            Ok(()) => match request {
                KeysRequest::Alias(name) => self.own_record(&name).await.map(KeysResponse::Account),
                KeysRequest::Chain(account) => {
                    self.record(&account).await.map(|record| KeysResponse::Chain(record.chain))
                }
                KeysRequest::Record(account) => self.record(&account).await.map(KeysResponse::Account),
                KeysRequest::Claim(request) => {
                    self.claim_from_peer(from, request).await.map(KeysResponse::KeyPackages)
                }
            },
        };
        answer.unwrap_or_else(|error| {
            KeysResponse::Refused(RoomRefusal {
                reason: error.reason(),
                detail: Text::clipped(error.detail()),
                decided: None,
            })
        })
    }
}

impl Accounts {
    async fn claim_from_peer(&self, from: &Domain, request: ClaimRequest) -> ApiResult<ClaimedKeyPackages> {
        let claimed = request.claim.peek().map_err(|fault| ApiError::malformed("the key claim", fault))?;
        if claimed.domain != *self.domain() {
            return Err(ApiError::new(
                Refusal::InvalidSignature,
                format!("the claim is for {}, and this is {}", claimed.domain, self.domain()),
            ));
        }
        let checked = self.check_record(from, &request.claimant, &claimed.alias).await?;
        let (claimant, _) = checked.map_err(|fault| {
            ApiError::new(Refusal::InvalidSignature, format!("the claimant's record does not hold: {fault}"))
        })?;
        // A relay speaks for its own people and for nobody else's.
        if claimant.alias.domain != *from || claimant.account.home() != from {
            return Err(ApiError::new(
                Refusal::InvalidSignature,
                format!("{} does not live at {from}, which asks in their name", claimant.alias),
            ));
        }
        let claim = check_claim(&request.claim, &claimant.account, self.now())?;
        // Names are cheap: all relays that nobody here has a room with have as much as one that is known.
        if !self.0.store.is_neighbour(from).await.map_err(store_failed("look a relay up"))? {
            let taken = self.0.limits.strangers.take((), self.now());
            taken.map_err(|wait| ApiError::rate_limited("claims from unknown relays", wait))?;
        }
        self.hand_out(&claim).await
    }
}
