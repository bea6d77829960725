//! Login: a device proves its key against a fresh challenge and gets a session.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthouse_crypto::{sha256, verify};
use posthouse_spec::account::Login;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, LoginRequest};
use posthouse_spec::limits::SESSION_LIFETIME_MS;
use posthouse_spec::{AccountId, DeviceId, Millis, Signed};
use rand::Rng as _;
use zeroize::Zeroizing;

use super::service::{Accounts, by_address, store_failed};
use crate::error::{ApiError, ApiResult};
use crate::mailbox::MailboxKey;

/// A session that was just opened. It is not shown: its token is a secret.
pub struct NewSession {
    /// The bearer token; only its hash is kept.
    pub token: Zeroizing<String>,
    /// When it ends.
    pub expires: Millis,
}

/// The hash under which a session token is kept.
fn token_hash(token: &str) -> Option<[u8; 32]> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(token).ok()?);
    (bytes.len() == 32).then(|| sha256(&bytes))
}

impl Accounts {
    /// A challenge for a device. It says nothing of whether the device is known.
    ///
    /// # Errors
    /// Too many from one address.
    pub fn challenge(&self, account: AccountId, device: DeviceId, from: IpAddr) -> ApiResult<Base64> {
        let now = self.now();
        by_address(&self.0.limits.logins, "logins", from, now)?;
        let who = MailboxKey { account, device };
        Ok(Base64(self.0.challenges.issue(who, now, &mut rand::rng()).to_vec()))
    }

    /// The relay's clock, as it tells clients.
    #[must_use]
    pub fn clock(&self) -> Millis {
        self.now()
    }

    /// Takes the answer to a challenge, and opens a session.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub async fn login(&self, request: &LoginRequest, from: IpAddr) -> ApiResult<NewSession> {
        let now = self.now();
        by_address(&self.0.limits.logins, "logins", from, now)?;
        let signed: Signed<Login> =
            request.login.read().map_err(|fault| ApiError::malformed("the login", fault))?;
        let claimed = signed.peek().map_err(|fault| ApiError::malformed("the login", fault))?;
        let login = verify(&signed, &claimed.device.into()).map_err(|fault| {
            ApiError::new(
                Refusal::InvalidSignature,
                format!("the login is not signed by its device: {fault}"),
            )
        })?;
        if login.domain != *self.domain() {
            return Err(ApiError::new(
                Refusal::InvalidSignature,
                format!("the login is for the relay {}, and this is {}", login.domain, self.domain()),
            ));
        }
        let who = MailboxKey { account: login.account, device: login.device };
        self.0.challenges.redeem(who, &login.challenge, now)?;
        self.must_be_active(who).await?;
        self.open_session(who, now).await
    }

    async fn must_be_active(&self, who: MailboxKey) -> ApiResult<()> {
        let account =
            self.0.store.account(&who.account).await.map_err(store_failed("looking up an account"))?;
        match account {
            None => Err(ApiError::new(
                Refusal::UnknownAccount,
                format!("no such account at {}; register it first", self.domain()),
            )),
            Some(account) if account.is_active(&who.device) => Ok(()),
            Some(_) => Err(ApiError::new(
                Refusal::Unauthenticated,
                "this device is not an active device of the account; it was revoked, or never added",
            )),
        }
    }

    async fn open_session(&self, who: MailboxKey, now: Millis) -> ApiResult<NewSession> {
        let mut secret = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(secret.as_mut());
        let expires = now.after(SESSION_LIFETIME_MS);
        self.0
            .store
            .put_session(sha256(secret.as_ref()), who, expires)
            .await
            .map_err(store_failed("opening a session"))?;
        Ok(NewSession { token: Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_ref())), expires })
    }

    /// Who holds a session token.
    ///
    /// # Errors
    /// The token is wrong or expired.
    pub async fn session(&self, token: &str) -> ApiResult<crate::store::Session> {
        let wrong =
            || ApiError::new(Refusal::Unauthenticated, "the session token is wrong or expired; log in again");
        let hash = token_hash(token).ok_or_else(wrong)?;
        let session =
            self.0.store.session(hash, self.now()).await.map_err(store_failed("looking up a session"))?;
        session.ok_or_else(wrong)
    }
}
