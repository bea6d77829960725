//! Making events. They are not judged here: [`Account::extend`] does that, and everybody else will.

use posthouse_spec::account::{
    AddDevice, DeviceKeys, Event, EventBody, Genesis, RevokeDevice, RotateRecovery, SetHome,
};
use posthouse_spec::{ChainSeq, DeviceId, Domain, Incarnation, Millis, PublicKey, Signed};
use rand_core::CryptoRng;

use super::account::Account;
use crate::secret::SigningKey;

/// The first event of a new account.
#[must_use]
pub fn genesis(
    recovery: &SigningKey,
    device: DeviceKeys,
    home: Domain,
    rng: &mut impl CryptoRng,
    now: Millis,
) -> Signed<Event> {
    let mut salt = [0; Incarnation::LEN];
    rng.fill_bytes(&mut salt);
    let body = Genesis { recovery: recovery.public(), device, home, salt: Incarnation::new(salt) };
    recovery.sign(&Event { seq: ChainSeq(0), previous: None, body: EventBody::Genesis(body), created: now })
}

/// The next event: a device joins. Signed by an active device or the recovery key.
#[must_use]
pub fn add_device(account: &Account, signer: &SigningKey, device: DeviceKeys, now: Millis) -> Signed<Event> {
    next(account, signer, EventBody::AddDevice(AddDevice { device }), now)
}

/// The next event: a device leaves, and with `undo_from` also every device that it added at or after that position.
/// Signed by the recovery key or the device itself.
#[must_use]
pub fn revoke_device(
    account: &Account,
    signer: &SigningKey,
    device: DeviceId,
    undo_from: Option<ChainSeq>,
    now: Millis,
) -> Signed<Event> {
    next(account, signer, EventBody::RevokeDevice(RevokeDevice { device, undo_from }), now)
}

/// The next event: a new recovery key. Signed by the old one.
#[must_use]
pub fn rotate_recovery(
    account: &Account,
    signer: &SigningKey,
    recovery: PublicKey,
    now: Millis,
) -> Signed<Event> {
    next(account, signer, EventBody::RotateRecovery(RotateRecovery { recovery }), now)
}

/// The next event: the account moves. Signed by the recovery key.
#[must_use]
pub fn set_home(account: &Account, signer: &SigningKey, home: Domain, now: Millis) -> Signed<Event> {
    next(account, signer, EventBody::SetHome(SetHome { home }), now)
}

fn next(account: &Account, signer: &SigningKey, body: EventBody, now: Millis) -> Signed<Event> {
    signer.sign(&Event { seq: account.seq().next(), previous: Some(account.head()), body, created: now })
}
