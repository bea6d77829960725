//! The validation of a chain.

use posthouse_spec::account::{ChainFault, DeviceKeys, Event, EventBody, Genesis, RevokeDevice};
use posthouse_spec::limits::{MAX_CHAIN, MAX_DEVICES};
use posthouse_spec::{AccountId, ChainSeq, DeviceId, Domain, EventHash, PublicKey, Signed};

use super::error::IdentityError;
use crate::hash::{account_id, event_hash};
use crate::sign::verify_any;

/// A device in the life of an account.
#[derive(Debug, Clone)]
struct Held {
    keys: DeviceKeys,
    /// Who added it: a device, or the recovery key.
    by: PublicKey,
    added: ChainSeq,
    /// The event that revoked it, itself or by undoing its addition.
    revoked: Option<ChainSeq>,
}

/// An account whose chain has been checked from Genesis on.
#[derive(Debug, Clone)]
pub struct Account {
    id: AccountId,
    home: Domain,
    /// Every recovery key, the newest last.
    recovery: Vec<PublicKey>,
    active: Vec<DeviceKeys>,
    held: Vec<Held>,
    hashes: Vec<EventHash>,
    chain: Vec<Signed<Event>>,
}

impl Account {
    /// Checks a whole chain.
    ///
    /// # Errors
    /// The first rule that it breaks, and where.
    pub fn validate(chain: &[Signed<Event>]) -> Result<Self, IdentityError> {
        let (first, rest) = chain.split_first().ok_or_else(|| fault(0, ChainFault::Empty))?;
        let mut account = Self::begin(first)?;
        for event in rest {
            account.extend(event.clone())?;
        }
        Ok(account)
    }

    /// Checks a whole chain of an account that is known by its id.
    ///
    /// # Errors
    /// The first rule that it breaks, or [`ChainFault::OtherAccount`].
    pub fn validate_as(id: &AccountId, chain: &[Signed<Event>]) -> Result<Self, IdentityError> {
        match chain.first() {
            Some(first) if account_id(first) != *id => Err(fault(0, ChainFault::OtherAccount)),
            _ => Self::validate(chain),
        }
    }

    fn begin(signed: &Signed<Event>) -> Result<Self, IdentityError> {
        let event = read(signed, 0)?;
        let EventBody::Genesis(genesis) = &event.body else {
            return Err(fault(0, ChainFault::Genesis));
        };
        if event.seq != ChainSeq(0) {
            return Err(fault(0, ChainFault::Sequence));
        }
        if event.previous.is_some() {
            return Err(fault(0, ChainFault::Previous));
        }
        check_signature(signed, 0, |key| *key == genesis.recovery)?;
        Ok(Self::of(signed, genesis))
    }

    fn of(signed: &Signed<Event>, genesis: &Genesis) -> Self {
        let first =
            Held { keys: genesis.device.clone(), by: genesis.recovery, added: ChainSeq(0), revoked: None };
        Self {
            id: account_id(signed),
            home: genesis.home.clone(),
            recovery: vec![genesis.recovery],
            active: vec![genesis.device.clone()],
            held: vec![first],
            hashes: vec![event_hash(signed)],
            chain: vec![signed.clone()],
        }
    }

    /// Adds one event.
    ///
    /// # Errors
    /// The rule that it breaks; the account is unchanged then.
    pub fn extend(&mut self, signed: Signed<Event>) -> Result<(), IdentityError> {
        let seq = self.seq().next();
        let event = read(&signed, seq.0)?;
        let broken = |rule| Err(fault(seq.0, rule));
        if event.seq != seq || self.chain.len() >= MAX_CHAIN {
            return broken(ChainFault::Sequence);
        }
        if event.previous != Some(self.head()) {
            return broken(ChainFault::Previous);
        }
        if matches!(event.body, EventBody::Genesis(_)) {
            return broken(ChainFault::Genesis);
        }
        check_signature(&signed, seq.0, |key| self.may_sign(&event.body, key))?;
        self.perform(seq, &signed, &event)?;
        self.hashes.push(event_hash(&signed));
        self.chain.push(signed);
        Ok(())
    }

    fn may_sign(&self, body: &EventBody, key: &PublicKey) -> bool {
        let by_device = match body {
            EventBody::AddDevice(_) => self.active.iter().any(|keys| PublicKey::from(keys.device) == *key),
            // Undoing what a device added is for the recovery key alone: a stolen device could throw out its owner's
            // other devices on its way out.
            EventBody::RevokeDevice(revoke) => {
                revoke.undo_from.is_none() && PublicKey::from(revoke.device) == *key
            }
            EventBody::Genesis(_) | EventBody::RotateRecovery(_) | EventBody::SetHome(_) => false,
        };
        by_device || *key == self.recovery()
    }

    fn perform(&mut self, seq: ChainSeq, signed: &Signed<Event>, event: &Event) -> Result<(), IdentityError> {
        match &event.body {
            EventBody::Genesis(_) => return Err(fault(seq.0, ChainFault::Genesis)),
            EventBody::AddDevice(add) => {
                if self.held.iter().any(|held| held.keys.device == add.device.device) {
                    return Err(fault(seq.0, ChainFault::DeviceReused));
                }
                if self.active.len() >= MAX_DEVICES {
                    return Err(fault(seq.0, ChainFault::TooManyDevices));
                }
                let (keys, by) = (add.device.clone(), signed.kid());
                self.held.push(Held { keys, by, added: seq, revoked: None });
            }
            EventBody::RevokeDevice(revoke) => {
                if !self.is_active(&revoke.device) {
                    return Err(fault(seq.0, ChainFault::NotActive));
                }
                self.revoke(seq, revoke);
            }
            EventBody::RotateRecovery(rotate) => self.recovery.push(rotate.recovery),
            EventBody::SetHome(set) => self.home = set.home.clone(),
        }
        self.active =
            self.held.iter().filter(|held| held.revoked.is_none()).map(|held| held.keys.clone()).collect();
        Ok(())
    }

    /// Revokes a device and, where asked, every device that it added from a position on. What those added in turn
    /// goes too: whoever holds a stolen device can add a second one with it, and a third one with that.
    fn revoke(&mut self, seq: ChainSeq, revoke: &RevokeDevice) {
        let mut gone = vec![revoke.device];
        while let Some(device) = gone.pop() {
            for held in &mut self.held {
                if held.keys.device == device {
                    held.revoked.get_or_insert(seq);
                }
                let undone = revoke.undo_from.is_some_and(|from| {
                    held.by == device.into() && (device != revoke.device || held.added >= from)
                });
                if undone && held.keys.device != device && held.revoked.is_none() {
                    held.revoked = Some(seq);
                    gone.push(held.keys.device);
                }
            }
        }
    }

    /// The account.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// The hash of the last event.
    #[must_use]
    pub fn head(&self) -> EventHash {
        self.hashes[self.hashes.len() - 1]
    }

    /// The position of the last event.
    #[must_use]
    pub fn seq(&self) -> ChainSeq {
        ChainSeq(self.hashes.len() as u64 - 1)
    }

    /// The home relay.
    #[must_use]
    pub fn home(&self) -> &Domain {
        &self.home
    }

    /// The recovery key.
    #[must_use]
    pub fn recovery(&self) -> PublicKey {
        self.recovery[self.recovery.len() - 1]
    }

    /// Every recovery key that the account has had, the newest last.
    pub(super) fn recovery_keys(&self) -> &[PublicKey] {
        &self.recovery
    }

    /// The active devices, in the order in which they were added.
    #[must_use]
    pub fn devices(&self) -> &[DeviceKeys] {
        &self.active
    }

    /// Whether this is the key of a device that the account has or had.
    pub(super) fn ever_had(&self, key: &PublicKey) -> bool {
        self.held.iter().any(|held| PublicKey::from(held.keys.device) == *key)
    }

    /// Whether a device is active now.
    #[must_use]
    pub fn is_active(&self, device: &DeviceId) -> bool {
        self.active.iter().any(|keys| keys.device == *device)
    }

    /// Whether the account has, or once had, a device.
    #[must_use]
    pub fn had(&self, device: &DeviceId) -> bool {
        self.ever_had(&PublicKey::from(*device))
    }

    /// Whether the chain has this hash at this position, and the device was active there.
    #[must_use]
    pub fn held(&self, device: &DeviceId, seq: ChainSeq, head: &EventHash) -> bool {
        let there = usize::try_from(seq.0).ok().and_then(|place| self.hashes.get(place));
        let active_there = |held: &Held| {
            held.keys.device == *device && held.added <= seq && held.revoked.is_none_or(|r| r > seq)
        };
        there == Some(head) && self.held.iter().any(active_there)
    }

    /// The events, Genesis first.
    #[must_use]
    pub fn chain(&self) -> &[Signed<Event>] {
        &self.chain
    }
}

fn fault(seq: u64, fault: ChainFault) -> IdentityError {
    IdentityError::Chain { seq: ChainSeq(seq), fault }
}

/// The payload, whose form is part of what its signature says.
fn read(signed: &Signed<Event>, seq: u64) -> Result<Event, IdentityError> {
    signed.peek().map_err(|_| fault(seq, ChainFault::Signature))
}

fn check_signature(
    signed: &Signed<Event>,
    seq: u64,
    signer_ok: impl Fn(&PublicKey) -> bool,
) -> Result<(), IdentityError> {
    if !signer_ok(&signed.kid()) {
        return Err(fault(seq, ChainFault::Signer));
    }
    verify_any(signed, signer_ok).map(drop).map_err(|_| fault(seq, ChainFault::Signature))
}
