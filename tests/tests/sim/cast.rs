//! Who plays: relays, their keys, devices and rooms. The same for all seeds, so that names and keys are made once.

use std::sync::LazyLock;

use posthouse_crypto::SigningKey;
use posthouse_relay::mailbox::MailboxKey;
use posthouse_relay::rooms::RosterEntry;
use posthouse_spec::{AccountId, DeviceId, Domain, PublicKey, RoomId};

pub(crate) type RelayNo = usize;
pub(crate) type DeviceNo = usize;
pub(crate) type RoomNo = usize;

/// Most relays of one world.
pub(crate) const MAX_RELAYS: usize = 10;
/// Devices of each relay.
pub(crate) const DEVICES: usize = 2;
/// Most rooms of one world.
pub(crate) const MAX_ROOMS: usize = 3;

pub(crate) struct Cast {
    pub(crate) domains: Vec<Domain>,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) publics: Vec<PublicKey>,
    pub(crate) devices: Vec<RosterEntry>,
    pub(crate) rooms: Vec<RoomId>,
}

static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let domains: Vec<Domain> =
        (0..MAX_RELAYS).map(|n| format!("r{n}.example").parse().expect("a domain")).collect();
    let keys: Vec<SigningKey> = (0..MAX_RELAYS).map(|n| SigningKey::from_seed(&[n as u8 + 1; 32])).collect();
    let device = |n: usize| RosterEntry {
        account: AccountId::new([n as u8 + 1; 32]),
        device: DeviceId::new([n as u8 + 1; 32]),
        home: domains[n / DEVICES].clone(),
    };
    Cast {
        publics: keys.iter().map(SigningKey::public).collect(),
        devices: (0..MAX_RELAYS * DEVICES).map(device).collect(),
        rooms: (0..MAX_ROOMS).map(|n| RoomId::new([n as u8 + 1; 32])).collect(),
        domains,
        keys,
    }
});

pub(crate) fn cast() -> &'static Cast {
    &CAST
}

pub(crate) fn home(device: DeviceNo) -> RelayNo {
    device / DEVICES
}

pub(crate) fn relay_no(domain: &Domain) -> RelayNo {
    usize::from(domain.as_str().as_bytes()[1] - b'0')
}

pub(crate) fn room_no(room: RoomId) -> RoomNo {
    usize::from(room.as_bytes()[0]) - 1
}

pub(crate) fn device_no(key: &MailboxKey) -> DeviceNo {
    usize::from(key.device.as_bytes()[0]) - 1
}
