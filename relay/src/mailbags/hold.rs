//! The holder's side: keeps what is left here for the relays that the operator names, and gives it to them alone.

use std::collections::BTreeSet;

use posthouse_federation::Clock;
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::peer::hello::{PeerRefusal, PeerRule};
use posthouse_spec::peer::mailbag::{Mailbag, MailbagRequest, MailbagResponse};
use posthouse_spec::{Domain, Millis};

use crate::config::MailbagSettings;
use crate::metrics::{MAILBAG_BYTES_HELD, MAILBAGS_HELD};
use crate::store::{FullOf, HoldOutcome, MailbagQuota, Store, StoreError};

/// Bytes that every sealed envelope has at least: the encapsulated key and the tag.
const SEAL_LEN: usize = 32 + 16;

/// Holds mailbags.
pub struct Holder {
    store: Store,
    hold_for: BTreeSet<Domain>,
    quota: MailbagQuota,
    held_ms: u64,
    clock: Clock,
}

impl Holder {
    /// A holder for the relays that the settings name.
    #[must_use]
    pub fn new(store: Store, settings: &MailbagSettings, clock: Clock) -> Self {
        let quota = MailbagQuota {
            destination: settings.quota,
            origin: settings.quota_per_origin,
            total: settings.total,
        };
        Self { store, hold_for: settings.hold_for.clone(), quota, held_ms: settings.held_ms, clock }
    }

    /// Answers a relay: the origin when it leaves a bag, and else the destination.
    pub async fn answer(&self, from: &Domain, request: MailbagRequest) -> MailbagResponse {
        let answered = match request {
            MailbagRequest::Leave(bag) => self.hold(from, bag).await,
            MailbagRequest::List(max) => self.list(from, max).await,
            MailbagRequest::Take(bag) => {
                self.store.held_mailbag(from, &bag, (self.clock)()).await.map(|bag| {
                    // One is within the list's limit of one.
                    MailbagResponse::Mailbag(List::new(bag.into_iter().collect()).unwrap_or_default())
                })
            }
            MailbagRequest::Drop(bags) => {
                self.store.drop_mailbags(from, bags.into_vec()).await.map(MailbagResponse::Dropped)
            }
        };
        let answer = answered.unwrap_or_else(|error| {
            tracing::error!(%from, %error, "the store failed a question about mailbags");
            refuse(PeerRule::Unavailable, "this relay's store failed: try again later")
        });
        if matches!(answer, MailbagResponse::Held(_) | MailbagResponse::Dropped(_)) {
            self.gauge().await;
        }
        answer
    }

    /// Throws away what is held no longer. Called now and then.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let mut gone = 0;
        loop {
            match self.store.expire_mailbags((self.clock)()).await? {
                0 => break,
                some => gone += some,
            }
        }
        if gone > 0 {
            tracing::info!(bags = gone, "mailbags were thrown away that nobody came for in time");
        }
        self.gauge().await;
        Ok(())
    }

    /// What is held for a destination. One for which nothing is held, and nothing would be, is told so: its operator counts on
    /// this relay, and would learn it from nobody else.
    async fn list(&self, from: &Domain, max: u64) -> Result<MailbagResponse, StoreError> {
        let held = self.store.held_mailbags(from, max, (self.clock)()).await?;
        if held.total == 0 && !self.hold_for.contains(from) {
            let why = format!(
                "this relay holds no mailbags for {from}: its operator names it nowhere in mailbags.hold_for"
            );
            return Ok(refuse(PeerRule::NotAHolder, &why));
        }
        Ok(MailbagResponse::List(held))
    }

    async fn hold(&self, from: &Domain, bag: Mailbag) -> Result<MailbagResponse, StoreError> {
        let now = (self.clock)();
        if let Err((rule, why)) = admit(from, &bag, &self.hold_for, now) {
            tracing::info!(origin = %from, destination = %bag.destination, rule = rule.name(), why, "a mailbag is not held");
            return Ok(refuse(rule, &why));
        }
        let until = bag.expires.min(now.after(self.held_ms));
        let (origin, destination) = (bag.origin.clone(), bag.destination.clone());
        match self.store.hold_mailbag(bag, until, self.quota).await? {
            HoldOutcome::Held(until) => Ok(MailbagResponse::Held(until)),
            HoldOutcome::Full(of) => {
                let why = match of {
                    FullOf::Origin => format!("what {origin} may leave here for {destination} is used up"),
                    FullOf::Destination => format!("what this relay holds for {destination} is used up"),
                    FullOf::Total => "what this relay holds for all is used up".to_owned(),
                };
                tracing::warn!(%origin, %destination, rule = PeerRule::HolderFull.name(), why, "a mailbag is not held");
                Ok(refuse(PeerRule::HolderFull, &why))
            }
        }
    }

    async fn gauge(&self) {
        match self.store.mailbags_held().await {
            Ok(held) => {
                metrics::gauge!(MAILBAGS_HELD).set(count(held.items));
                metrics::gauge!(MAILBAG_BYTES_HELD).set(count(held.bytes));
            }
            Err(error) => tracing::warn!(%error, "mailbags could not be counted"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of 2^52 is precise enough")]
fn count(value: u64) -> f64 {
    value as f64
}

fn refuse(rule: PeerRule, why: &str) -> MailbagResponse {
    MailbagResponse::Rejected(PeerRefusal { rule, detail: Text::clipped(why) })
}

/// Whether a bag may be left here at all, whatever there is of space.
fn admit(
    from: &Domain,
    bag: &Mailbag,
    hold_for: &BTreeSet<Domain>,
    now: Millis,
) -> Result<(), (PeerRule, String)> {
    if bag.origin != *from {
        return Err((PeerRule::ForgedOrigin, format!("{from} leaves a mailbag of {}", bag.origin)));
    }
    if !hold_for.contains(&bag.destination) || bag.destination == *from {
        return Err((PeerRule::NotAHolder, format!("this relay holds no mailbags for {}", bag.destination)));
    }
    if bag.sealed.len() <= SEAL_LEN {
        return Err((PeerRule::Malformed, format!("{} bytes are no sealed envelope", bag.sealed.len())));
    }
    if bag.expires <= now {
        // On its way here, or by a clock that is a little behind: no rule is broken.
        return Err((PeerRule::Unavailable, "the mailbag has expired already".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthouse_spec::EnvelopeId;
    use posthouse_spec::cbor::Octets;

    fn domain(name: &str) -> Domain {
        name.parse().unwrap()
    }

    fn rule(from: &str, change: impl FnOnce(&mut Mailbag)) -> Option<PeerRule> {
        let mut bag = Mailbag {
            origin: domain("a.example"),
            destination: domain("b.example"),
            envelope: EnvelopeId::new([1; 32]),
            expires: Millis(2_000),
            sealed: Octets::new(vec![0; 100]).unwrap(),
        };
        change(&mut bag);
        let hold_for = [domain("b.example"), domain("a.example")].into();
        admit(&domain(from), &bag, &hold_for, Millis(1_000)).err().map(|(rule, _)| rule)
    }

    #[test]
    fn only_the_origin_leaves_and_only_for_whom_the_operator_named() {
        assert_eq!(rule("a.example", |_| ()), None);
        assert_eq!(rule("c.example", |_| ()), Some(PeerRule::ForgedOrigin));
        let other = rule("a.example", |bag| bag.destination = domain("c.example"));
        assert_eq!(other, Some(PeerRule::NotAHolder));
        let own = rule("a.example", |bag| bag.destination = domain("a.example"));
        assert_eq!(own, Some(PeerRule::NotAHolder), "nobody stores for itself");
    }

    #[test]
    fn what_is_no_bag_or_has_expired_is_refused() {
        let empty = rule("a.example", |bag| bag.sealed = Octets::default());
        assert_eq!(empty, Some(PeerRule::Malformed));
        assert_eq!(rule("a.example", |bag| bag.expires = Millis(1_000)), Some(PeerRule::Unavailable));
    }
}
