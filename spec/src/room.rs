//! What a room agrees on, and how its changes are decided.
//!
//! A room is an MLS group. [`RoomContext`] is its one GroupContext extension of private-use type; the hub named in it
//! decides one commit for each epoch and signs a [`Decision`].

use crate::account::Invited;
use crate::cbor::{List, Octets};
use crate::ids::{AccountId, Ballot, CommitHash, Epoch, Lineage, ManifestSeq, PublicKey, RoomId};
use crate::limits::{
    MAX_ACCEPTORS, MAX_BANNED, MAX_DEPARTURES, MAX_DEVICES, MAX_EVENT, MAX_HANDSHAKE, MAX_LEAVES,
    MAX_LEAVES_PQ, MAX_ROLES,
};
use crate::name::Domain;
use crate::sign1::{Payload, Signed};
use crate::{codes, record};

/// MLS GroupContext extension type of [`RoomContext`] (private use).
pub const ROOM_CONTEXT_EXTENSION: u16 = 0xF0F1;
/// MLS credential type of a [`LeafClaim`](crate::account::LeafClaim) (private use).
pub const LEAF_CREDENTIAL: u16 = 0xF0F0;

codes! {
    /// An MLS ciphersuite that a room may use.
    pub enum Suite {
        /// MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519: mandatory.
        0x0003 => Classic = "0x0003",
        /// MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519 (draft code point): post-quantum, the default.
        0x004E => PostQuantum = "0x004e",
    }
}

impl Suite {
    /// The most leaves of a room in this suite.
    #[must_use]
    pub fn max_leaves(self) -> usize {
        match self {
            Self::Classic => MAX_LEAVES,
            Self::PostQuantum => MAX_LEAVES_PQ,
        }
    }
}

codes! {
    /// What a room is for.
    pub enum RoomKind {
        /// A chat of two accounts.
        1 => Direct = "direct",
        /// A chat of many.
        2 => Group = "group",
        /// A room in which only admins write.
        3 => Announcement = "announcement",
        /// An account's own devices.
        4 => Own = "self",
    }
}

codes! {
    /// A member's role, and the least role that something asks for.
    pub enum Role {
        /// Everybody in the room.
        1 => Member = "member",
        /// Manages members.
        2 => Admin = "admin",
        /// Manages everything.
        3 => Owner = "owner",
    }
}

record! {
    /// Who may do what.
    pub struct RoomPolicy {
        /// The least role that writes messages.
        1 => write: Role,
        /// The least role that adds members.
        2 => add: Role,
        /// The least role that changes name, picture and settings.
        3 => change: Role,
    }
}

record! {
    /// A relay by name and by the identity that outlasts its keys.
    pub struct RelayRef {
        /// The domain.
        1 => domain: Domain,
        /// Its manifest root lineage.
        2 => lineage: Lineage,
    }
}

record! {
    /// Who decides the order of commits.
    pub struct Ordering {
        /// The hub.
        1 => leader: RelayRef,
        /// Relays whose word counts for a decision; one, the hub, in this version.
        2 => acceptors: List<RelayRef, MAX_ACCEPTORS>,
        /// How many of them it takes.
        3 => quorum: u16,
    }
}

record! {
    /// The content of the room's GroupContext extension.
    pub struct RoomContext {
        /// What the room is for.
        1 => kind: RoomKind,
        /// Accounts with every right.
        2 => owners: List<AccountId, MAX_ROLES>,
        /// Accounts that manage members.
        3 => admins: List<AccountId, MAX_ROLES>,
        /// Who may do what.
        4 => policy: RoomPolicy,
        /// Who decides.
        5 => ordering: Ordering,
        /// Accounts that must not be in the room; absent where there are none.
        6 => banned: Option<List<AccountId, MAX_BANNED>>,
    }
}

impl RoomContext {
    /// The context of a new direct room, ordered by its founder's relay.
    #[must_use]
    pub fn direct(hub: RelayRef) -> Self {
        Self {
            kind: RoomKind::Direct,
            owners: List::default(),
            admins: List::default(),
            policy: RoomPolicy { write: Role::Member, add: Role::Member, change: Role::Member },
            ordering: Ordering::single(hub),
            banned: None,
        }
    }

    /// The context of a new group or announcement room, ordered by its founder's relay. Everybody writes in a group, and
    /// admins in an announcement room; admins add and change in both.
    #[must_use]
    pub fn group(kind: RoomKind, hub: RelayRef, owner: AccountId) -> Self {
        let write = if kind == RoomKind::Announcement { Role::Admin } else { Role::Member };
        Self {
            kind,
            owners: List::new(vec![owner]).unwrap_or_default(),
            policy: RoomPolicy { write, add: Role::Admin, change: Role::Admin },
            ..Self::direct(hub)
        }
    }

    /// Whether an account must not be in the room.
    #[must_use]
    pub fn is_banned(&self, account: &AccountId) -> bool {
        self.banned.as_ref().is_some_and(|banned| banned.contains(account))
    }

    /// The role of an account that is in the room.
    #[must_use]
    pub fn role(&self, account: &AccountId) -> Role {
        if self.owners.contains(account) {
            Role::Owner
        } else if self.admins.contains(account) {
            Role::Admin
        } else {
            Role::Member
        }
    }
}

impl Ordering {
    /// One relay decides alone.
    #[must_use]
    pub fn single(hub: RelayRef) -> Self {
        let acceptors = List::new(vec![hub.clone()]).unwrap_or_default();
        Self { leader: hub, acceptors, quorum: 1 }
    }
}

record! {
    /// A hub's word on which commit ends an epoch.
    pub struct Decision {
        /// The room.
        1 => room: RoomId,
        /// The epoch that the commit ends.
        2 => epoch: Epoch,
        /// The attempt.
        3 => ballot: Ballot,
        /// The commit.
        4 => commit: CommitHash,
        /// The hub's manifest whose ordering key signs this.
        5 => manifest: ManifestSeq,
    }
}

impl Payload for Decision {
    const LABEL: &'static str = crate::labels::DECISION;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// A commit with the decision for it: what moves everybody to the next epoch.
    pub struct Decided {
        /// The hub's word.
        1 => decision: Signed<Decision>,
        /// The commit: an MLSMessage that holds a PublicMessage.
        2 => commit: Octets<MAX_HANDSHAKE>,
    }
}

record! {
    /// What a device says of a commit that it uploads. It signs the hash of the whole commit, because an observer cannot
    /// check everything in one: so whoever sends a bad one is known.
    pub struct CommitClaim {
        /// The room.
        1 => room: RoomId,
        /// The epoch that the commit would end.
        2 => epoch: Epoch,
        /// The whole commit.
        3 => commit: CommitHash,
    }
}

impl Payload for CommitClaim {
    const LABEL: &'static str = crate::labels::COMMIT_UPLOAD;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// A device's word that it rejoins a room that it can no longer follow, signed by the device key. It stands in the
    /// authenticated data of the external commit, so that a stolen leaf key alone brings nobody in.
    pub struct RejoinClaim {
        /// The room.
        1 => room: RoomId,
        /// The epoch that the commit would end: the word is worth nothing in any other.
        2 => epoch: Epoch,
        /// The signature key of the new leaf.
        3 => leaf_key: PublicKey,
    }
}

impl Payload for RejoinClaim {
    const LABEL: &'static str = crate::labels::REJOIN;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// A device's word that its account leaves a room, signed by the device key. It names the leaves by their signature
    /// keys, which are new whenever somebody is added: so it is good once, in whichever epoch a member commits it.
    pub struct LeaveClaim {
        /// The room.
        1 => room: RoomId,
        /// Who leaves.
        2 => account: AccountId,
        /// The signature keys of the account's leaves.
        3 => leaves: List<PublicKey, MAX_DEVICES>,
    }
}

impl Payload for LeaveClaim {
    const LABEL: &'static str = crate::labels::LEAVE;
    const LIMIT: usize = MAX_EVENT;
}

record! {
    /// The authenticated data of a member's commit that lets others go: with their own word for it, any member may remove
    /// them. A commit that lets nobody go has no authenticated data.
    pub struct Departures {
        /// Each lets at least one leaf go that the commit removes.
        1 => claims: List<Signed<LeaveClaim>, MAX_DEPARTURES>,
    }
}

record! {
    /// What new members need, beside the Welcome's secrets.
    pub struct WelcomeBundle {
        /// The MLS Welcome as an MLSMessage, for all who are invited.
        1 => welcome: Octets<MAX_HANDSHAKE>,
        /// The MLS GroupInfo of the new epoch with the ratchet tree, as an MLSMessage.
        2 => group_info: Octets<MAX_HANDSHAKE>,
        /// Who is invited, with the permits.
        3 => invited: List<Invited, MAX_LEAVES>,
    }
}

record! {
    /// A commit on its way to the hub.
    pub struct CommitUpload {
        /// The uploading device's word.
        1 => claim: Signed<CommitClaim>,
        /// The commit: an MLSMessage that holds a PublicMessage.
        2 => commit: Octets<MAX_HANDSHAKE>,
        /// For new members, if it adds any.
        3 => welcome: Option<WelcomeBundle>,
    }
}
