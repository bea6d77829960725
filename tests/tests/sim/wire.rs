//! What travels in items: real envelope items, with commits and messages that stand for themselves.

use posthouse_crypto::commit_hash;
use posthouse_relay::rooms::{Roster, RosterEntry};
use posthouse_spec::account::Invited;
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{DecidedItem, EpochEndItem, Item, MessageItem, WelcomeItem};
use posthouse_spec::room::{Decided, Decision, WelcomeBundle};
use posthouse_spec::{
    Ballot, Cbor, CommitHash, DeviceId, Domain, Epoch, KeyPackageHash, ManifestSeq, Ticket,
};

use crate::cast::{DeviceNo, RelayNo, RoomNo, cast};

/// A message's id, which stands inside the seal.
pub(crate) type MessageNo = u32;

/// What a commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) committer: DeviceNo,
    pub(crate) adds: Vec<DeviceNo>,
    pub(crate) removes: Vec<DeviceNo>,
    /// Tells two commits of one content apart.
    pub(crate) nonce: u32,
}

impl Change {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.committer as u8, self.adds.len() as u8, self.removes.len() as u8];
        bytes.extend(self.adds.iter().chain(&self.removes).map(|n| *n as u8));
        bytes.extend(self.nonce.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let (adds, removes) = (usize::from(bytes[1]), usize::from(bytes[2]));
        let numbers: Vec<DeviceNo> = bytes[3..].iter().map(|n| usize::from(*n)).collect();
        let nonce = bytes[3 + adds + removes..].try_into().expect("four bytes");
        Self {
            committer: usize::from(bytes[0]),
            adds: numbers[..adds].to_vec(),
            removes: numbers[adds..adds + removes].to_vec(),
            nonce: u32::from_be_bytes(nonce),
        }
    }

    pub(crate) fn apply(&self, old: &Roster) -> Roster {
        let gone = |entry: &&RosterEntry| !self.removes.iter().any(|n| cast().devices[*n] == **entry);
        old.entries()
            .filter(gone)
            .cloned()
            .chain(self.adds.iter().map(|n| cast().devices[*n].clone()))
            .collect()
    }
}

/// A decision as it is logged and passed on, with what its bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) room: RoomNo,
    /// The epoch that it ends.
    pub(crate) epoch: u64,
    pub(crate) commit: CommitHash,
    pub(crate) change: Change,
    pub(crate) decided: Decided,
}

impl Ruling {
    /// The hub's word.
    pub(crate) fn sign(hub: RelayNo, room: RoomNo, epoch: u64, change: &Change) -> Self {
        let bytes = change.to_bytes();
        let commit = commit_hash(&bytes);
        let decision = Decision {
            room: cast().rooms[room],
            epoch: Epoch(epoch),
            ballot: Ballot(0),
            commit,
            manifest: ManifestSeq(1),
        };
        let decided = Decided {
            decision: cast().keys[hub].sign(&decision),
            commit: Octets::new(bytes).expect("small"),
        };
        Self { room, epoch, commit, change: change.clone(), decided }
    }

    pub(crate) fn read(decided: &Decided) -> Self {
        let decision = decided.decision.peek().expect("ours");
        Self {
            room: crate::cast::room_no(decision.room),
            epoch: decision.epoch.0,
            commit: decision.commit,
            change: Change::from_bytes(decided.commit.bytes()),
            decided: decided.clone(),
        }
    }
}

fn device_of(id: DeviceId) -> DeviceNo {
    usize::from(id.as_bytes()[0]) - 1
}

/// The devices that a Welcome invites, and the roster behind it.
pub(crate) fn read_bundle(bundle: &WelcomeBundle) -> (Vec<DeviceNo>, Roster) {
    let invited = bundle.invited.iter().map(|invited| device_of(invited.device)).collect();
    let roster = bundle.group_info.bytes().iter().map(|n| cast().devices[usize::from(*n)].clone()).collect();
    (invited, roster)
}

fn bundle(invited: &[DeviceNo], roster: &Roster) -> WelcomeBundle {
    let members: Vec<u8> = roster.entries().map(|entry| device_of(entry.device) as u8).collect();
    let one = |n: &DeviceNo| {
        let entry = &cast().devices[*n];
        Invited {
            account: entry.account,
            device: entry.device,
            domain: entry.home.clone(),
            key_package: KeyPackageHash::new([0; 32]),
            ticket: Ticket::new([0; 32]),
        }
    };
    WelcomeBundle {
        welcome: Octets::default(),
        group_info: Octets::new(members).expect("few"),
        invited: List::new(invited.iter().map(one).collect()).expect("few"),
    }
}

pub(crate) fn decided_item(ruling: &Ruling, hub: &Domain) -> Item {
    Item::Decided(DecidedItem {
        room: cast().rooms[ruling.room],
        hub: hub.clone(),
        decided: ruling.decided.clone(),
    })
}

pub(crate) fn welcome_item(ruling: &Ruling, hub: &Domain, invited: &[DeviceNo], roster: &Roster) -> Item {
    Item::Welcome(WelcomeItem {
        room: cast().rooms[ruling.room],
        hub: hub.clone(),
        decided: ruling.decided.clone(),
        bundle: bundle(invited, roster),
    })
}

pub(crate) fn message_item(room: RoomNo, hub: &Domain, epoch: u64, id: MessageNo) -> Item {
    Item::Message(MessageItem {
        room: cast().rooms[room],
        hub: hub.clone(),
        epoch: Epoch(epoch),
        body: Octets::new(id.to_be_bytes().to_vec()).expect("small"),
        mark: None,
    })
}

pub(crate) fn end_item(room: RoomNo, hub: &Domain, epoch: u64) -> Item {
    Item::EpochEnd(EpochEndItem { room: cast().rooms[room], hub: hub.clone(), epoch: Epoch(epoch) })
}

pub(crate) fn message_no(body: &[u8]) -> MessageNo {
    MessageNo::from_be_bytes(body.try_into().expect("four bytes"))
}

pub(crate) fn read_item(bytes: &[u8]) -> Item {
    Item::from_cbor(bytes).expect("ours")
}
