//! Accounts: hash-chained lists of signed events, and the claims that devices make in their name.
//!
//! The first event is Genesis, and its hash is the account. Each later event names the hash of the one before it,
//! so a relay can withhold a chain's end but not change it. Who may sign what:
//!
//! | event | signed by |
//! | --- | --- |
//! | Genesis | the recovery key that it names |
//! | AddDevice | any active device, or the recovery key |
//! | RevokeDevice | the recovery key; or the device itself |
//! | RotateRecovery, SetHome | the recovery key |

use crate::cbor::{List, Octets, Text};
use crate::ids::{
    AccountId, ChainSeq, DeviceId, EventHash, Incarnation, KeyPackageHash, Millis, PublicKey, SealKey, Ticket,
};
use crate::limits::{MAX_CHAIN, MAX_DEVICES, MAX_EVENT, MAX_KEY_PACKAGE};
use crate::name::{Alias, Domain};
use crate::sign1::{Payload, Signed};
use crate::{choice, codes, record};

record! {
    /// The public half of a device.
    pub struct DeviceKeys {
        /// Its signing key, which is its id.
        1 => device: DeviceId,
        /// Its X25519 key, to which things for it alone are sealed.
        2 => seal: SealKey,
    }
}

record! {
    /// The first event: it makes the account.
    pub struct Genesis {
        /// Checks what only the holder of the recovery code may do.
        1 => recovery: PublicKey,
        /// The first device.
        2 => device: DeviceKeys,
        /// The first home relay.
        3 => home: Domain,
        /// Random bytes, so that no two accounts are the same.
        4 => salt: Incarnation,
    }
}

record! {
    /// A new device joins the account.
    pub struct AddDevice {
        /// The new device.
        1 => device: DeviceKeys,
    }
}

record! {
    /// A device leaves the account for good.
    pub struct RevokeDevice {
        /// The device that leaves.
        1 => device: DeviceId,
        /// Also undo every AddDevice that this device signed at or after this position, and all that the devices so
        /// undone signed in turn. Only the recovery key may ask for it.
        2 => undo_from: Option<ChainSeq>,
    }
}

record! {
    /// A new recovery code takes over: the only event that changes the safety number.
    pub struct RotateRecovery {
        /// The new recovery key.
        1 => recovery: PublicKey,
    }
}

record! {
    /// The account moves to another relay.
    pub struct SetHome {
        /// The new home.
        1 => home: Domain,
    }
}

choice! {
    /// What an event does.
    pub enum EventBody {
        /// Makes the account.
        1 => Genesis(Genesis),
        /// Adds a device.
        2 => AddDevice(AddDevice),
        /// Revokes a device.
        3 => RevokeDevice(RevokeDevice),
        /// Replaces the recovery key.
        4 => RotateRecovery(RotateRecovery),
        /// Moves to another relay.
        5 => SetHome(SetHome),
    }
}

record! {
    /// One event of a chain.
    pub struct Event {
        /// Its position: 0 for Genesis.
        1 => seq: ChainSeq,
        /// The hash of the event before it; absent in Genesis.
        2 => previous: Option<EventHash>,
        /// What it does.
        3 => body: EventBody,
        /// When its author says it was made. Nothing is decided by it.
        4 => created: Millis,
    }
}

impl Payload for Event {
    const LABEL: &'static str = crate::labels::ACCOUNT_EVENT;
    const LIMIT: usize = MAX_EVENT;
}

/// An account's chain as it travels, unverified.
pub type Chain = List<Signed<Event>, MAX_CHAIN>;

record! {
    /// An account's wish to be known by an alias, signed by one of its devices.
    pub struct AliasClaim {
        /// The alias.
        1 => alias: Alias,
        /// The account that wants it.
        2 => account: AccountId,
        /// When its author says it was made.
        3 => created: Millis,
    }
}

impl Payload for AliasClaim {
    const LABEL: &'static str = crate::labels::ALIAS_CLAIM;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// A relay's word that an alias is an account, signed by its ordering key around the account's own claim: so
    /// neither can bind alone.
    pub struct AliasBinding {
        /// The account's claim.
        1 => claim: Signed<AliasClaim>,
        /// When the relay bound it.
        2 => bound: Millis,
    }
}

impl Payload for AliasBinding {
    const LABEL: &'static str = crate::labels::ALIAS_BINDING;
    const LIMIT: usize = 2 * MAX_EVENT;
}

record! {
    /// What an MLS leaf says of its owner: the content of the credential, signed by the device key. It ties the
    /// leaf's own signature key, fresh for each room, to the device.
    pub struct LeafClaim {
        /// The account.
        1 => account: AccountId,
        /// The account's home relay, which delivers to this device.
        2 => home: Domain,
        /// The device.
        3 => device: DeviceId,
        /// A position of the account's chain at which the device was active.
        4 => seq: ChainSeq,
        /// The hash of the event at that position.
        5 => head: EventHash,
        /// The Ed25519 signature key of the leaf.
        6 => leaf_key: PublicKey,
        /// Until when a key package with this leaf may be claimed. A decided commit is never refused by it.
        7 => not_after: Millis,
    }
}

impl Payload for LeafClaim {
    const LABEL: &'static str = crate::labels::LEAF_CLAIM;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// A device's answer to its relay's login challenge.
    pub struct Login {
        /// The relay that asked: an answer is worth nothing elsewhere.
        1 => domain: Domain,
        /// The account.
        2 => account: AccountId,
        /// The device, whose key signs.
        3 => device: DeviceId,
        /// The challenge.
        4 => challenge: Octets<32>,
    }
}

impl Payload for Login {
    const LABEL: &'static str = crate::labels::LOGIN;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// A device asks for one key package of each active device of an account, to invite it to a room.
    pub struct KeyClaim {
        /// Who asks, by account.
        1 => claimant: AccountId,
        /// … by device, whose key signs.
        2 => device: DeviceId,
        /// … and by alias, for the one who is asked.
        3 => alias: Alias,
        /// Whose key packages.
        4 => target: AccountId,
        /// At which relay.
        5 => domain: Domain,
        /// For which MLS ciphersuite.
        6 => suite: u16,
        /// When it was made; a relay refuses one that is older than a day.
        7 => created: Millis,
        /// Random bytes: the same claim sent again gets the same answer.
        8 => nonce: Incarnation,
    }
}

impl Payload for KeyClaim {
    const LABEL: &'static str = crate::labels::KEY_CLAIM;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// One claimed key package with the permit to use it.
    pub struct ClaimedKeyPackage {
        /// The device that it belongs to.
        1 => device: DeviceId,
        /// The MLS KeyPackage as an MLSMessage.
        2 => key_package: Octets<MAX_KEY_PACKAGE>,
        /// Lets one Welcome for it pass.
        3 => ticket: Ticket,
        /// Whether it is the device's last resort, which may be handed out again.
        4 => last_resort: bool,
    }
}

/// The answer to a [`KeyClaim`]: empty for an account that blocked the claimant.
pub type ClaimedKeyPackages = List<ClaimedKeyPackage, MAX_DEVICES>;

record! {
    /// Who somebody is, as their relay hands it out; every part is checked by the one who asked.
    pub struct AccountRecord {
        /// The alias and who stands behind it.
        1 => binding: Signed<AliasBinding>,
        /// The account's chain from Genesis.
        2 => chain: Chain,
    }
}

record! {
    /// A key package's place in a Welcome: who is invited, and the permit.
    pub struct Invited {
        /// The account.
        1 => account: AccountId,
        /// Its device.
        2 => device: DeviceId,
        /// Its relay.
        3 => domain: Domain,
        /// The hash of the key package that was used.
        4 => key_package: KeyPackageHash,
        /// The permit from the claim.
        5 => ticket: Ticket,
    }
}

/// The name that a user gives a device.
pub type DeviceName = Text<64>;

codes! {
    /// Why a chain of account events does not hold.
    pub enum ChainFault {
        /// The chain has no events.
        1 => Empty = "empty-chain",
        /// The first event is no Genesis, or a later one is.
        2 => Genesis = "genesis-misplaced",
        /// A position is skipped or repeated.
        3 => Sequence = "chain-sequence",
        /// An event does not name the hash of the one before it.
        4 => Previous = "chain-previous",
        /// The signature does not hold.
        5 => Signature = "chain-signature",
        /// The signer may not sign this kind of event.
        6 => Signer = "chain-signer",
        /// A device is added that was there before.
        7 => DeviceReused = "device-reused",
        /// A device is revoked that is not active.
        8 => NotActive = "device-not-active",
        /// More devices than an account may have.
        9 => TooManyDevices = "too-many-devices",
        /// The account's id is not the hash of this Genesis.
        10 => OtherAccount = "other-account",
    }
}
