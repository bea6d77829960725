//! Login: a device proves its key against a fresh challenge and gets a session.
//!
//! A challenge holds its own expiry and a MAC over it, so that asking for one stores nothing. Only one that was answered
//! well is remembered until it expires, so that it is good once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthouse_crypto::{sha256, verify};
use posthouse_spec::account::Login;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, LoginRequest};
use posthouse_spec::limits::{CHALLENGE_LIFETIME_MS, SESSION_LIFETIME_MS};
use posthouse_spec::{AccountId, DeviceId, Millis, Signed};
use rand::{CryptoRng, Rng as _};
use zeroize::Zeroizing;

use super::{Accounts, by_address, store_failed};
use crate::error::{ApiError, ApiResult};
use crate::mailbox::MailboxKey;

/// Most answered challenges that are remembered, those of one minute.
const MAX_ANSWERED: usize = 65_536;
/// Length of a challenge, bytes: expiry, nonce and MAC.
const CHALLENGE: usize = 32;
/// Length of what the MAC covers of a challenge, bytes.
const HEAD: usize = 16;

/// A session that was just opened.
#[derive(Debug)]
pub struct NewSession {
    /// The bearer token; only its hash is kept.
    pub token: Zeroizing<String>,
    /// When it ends.
    pub expires: Millis,
}

/// The hash under which a session token is kept.
#[must_use]
pub fn token_hash(token: &str) -> Option<[u8; 32]> {
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

/// Makes challenges and takes them back.
pub(super) struct Challenges {
    secret: Zeroizing<[u8; 32]>,
    answered: Mutex<HashMap<[u8; CHALLENGE], Millis>>,
}

impl Challenges {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut());
        Self { secret, answered: Mutex::default() }
    }

    fn issue(&self, who: MailboxKey, now: Millis, rng: &mut impl CryptoRng) -> [u8; CHALLENGE] {
        let mut challenge = [0; CHALLENGE];
        challenge[..8].copy_from_slice(&now.after(CHALLENGE_LIFETIME_MS).0.to_be_bytes());
        rng.fill_bytes(&mut challenge[8..HEAD]);
        let mac = self.mac(who, &challenge[..HEAD]);
        challenge[HEAD..].copy_from_slice(&mac);
        challenge
    }

    /// A hash under a secret of fixed length, over a text of fixed length, cut short: nothing can be appended to it.
    fn mac(&self, who: MailboxKey, head: &[u8]) -> [u8; CHALLENGE - HEAD] {
        let parts: [&[u8]; 4] = [self.secret.as_ref(), who.account.as_bytes(), who.device.as_bytes(), head];
        let mut mac = [0; CHALLENGE - HEAD];
        mac.copy_from_slice(&sha256(&Zeroizing::new(parts.concat()))[..CHALLENGE - HEAD]);
        mac
    }

    fn redeem(&self, who: MailboxKey, challenge: &[u8], now: Millis) -> ApiResult<()> {
        let stale = || {
            ApiError::new(
                Refusal::Unauthenticated,
                "the challenge is unknown, answered already, or older than a minute; ask for another one",
            )
        };
        let challenge: [u8; CHALLENGE] = challenge.try_into().map_err(|_| stale())?;
        let mut expires = [0; 8];
        expires.copy_from_slice(&challenge[..8]);
        let expires = Millis(u64::from_be_bytes(expires));
        let mac = self.mac(who, &challenge[..HEAD]);
        // Every byte is compared, so that the time taken says nothing of how many are right.
        let differing = mac.iter().zip(&challenge[HEAD..]).fold(0, |all, (a, b)| all | (a ^ b));
        if differing != 0 || expires <= now {
            return Err(stale());
        }
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.len() >= MAX_ANSWERED {
            answered.retain(|_, expires| *expires > now);
        }
        if answered.len() >= MAX_ANSWERED {
            return Err(ApiError::new(
                Refusal::Busy,
                "too many logins in this minute; try again in a minute",
            ));
        }
        match answered.insert(challenge, expires) {
            None => Ok(()),
            Some(_) => Err(stale()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(n: u8) -> MailboxKey {
        MailboxKey { account: AccountId::new([n; 32]), device: DeviceId::new([n; 32]) }
    }

    #[test]
    fn a_challenge_is_good_once_for_one_device_and_for_a_minute() {
        let challenges = Challenges::new(&mut rand::rng());
        let now = Millis(1_000_000);
        let one = challenges.issue(who(1), now, &mut rand::rng());
        assert!(challenges.redeem(who(2), &one, now).is_err(), "another device");
        assert!(challenges.redeem(who(1), &one, now.after(CHALLENGE_LIFETIME_MS)).is_err(), "too late");
        assert!(challenges.redeem(who(1), &one, now.after(CHALLENGE_LIFETIME_MS - 1)).is_ok());
        assert!(challenges.redeem(who(1), &one, now).is_err(), "a second time");
    }

    #[test]
    fn a_challenge_of_another_relay_or_with_a_later_expiry_is_worth_nothing() {
        let challenges = Challenges::new(&mut rand::rng());
        let mut one = challenges.issue(who(1), Millis(0), &mut rand::rng());
        assert!(Challenges::new(&mut rand::rng()).redeem(who(1), &one, Millis(0)).is_err());
        one[0] = 1;
        assert!(challenges.redeem(who(1), &one, Millis(0)).is_err());
    }
}
