//! Login challenges.
//!
//! A challenge holds its own expiry and a MAC over it, so that asking for one stores nothing. Only one that was answered
//! well is remembered until it expires, so that it is good once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use posthouse_crypto::sha256;
use posthouse_spec::Millis;
use posthouse_spec::client::Refusal;
use posthouse_spec::limits::CHALLENGE_LIFETIME_MS;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::error::{ApiError, ApiResult};
use crate::mailbox::MailboxKey;

/// Most answered challenges that are remembered, those of one minute.
const MAX_ANSWERED: usize = 65_536;
/// Length of a challenge, bytes: expiry, nonce and MAC.
const CHALLENGE: usize = 32;
/// Length of what the MAC covers of a challenge, bytes.
const HEAD: usize = 16;

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

    pub(super) fn issue(&self, who: MailboxKey, now: Millis, rng: &mut impl CryptoRng) -> [u8; CHALLENGE] {
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

    pub(super) fn redeem(&self, who: MailboxKey, challenge: &[u8], now: Millis) -> ApiResult<()> {
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
    use posthouse_spec::{AccountId, DeviceId};

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
