//! What the operator is told of another relay. The control socket carries it, and `--json` prints it as it is.

use serde::{Deserialize, Serialize};

/// How this relay stands with another one now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum State {
    /// A connection stands.
    Connected {
        /// `quic`, `tcp` or `circuit`.
        via: String,
        /// The other end's address.
        address: String,
        /// Which side has called: `us` or `them`.
        called: String,
    },
    /// It is tried again later.
    Waiting {
        /// When, milliseconds since 1970.
        until: u64,
    },
    /// The operator does not federate with it.
    Denied,
    /// It has broken too many rules.
    CutOff {
        /// Until when, milliseconds since 1970.
        until: u64,
    },
    /// Nothing is being done about it: nothing waits.
    Idle,
    /// This relay does not run.
    NotRunning,
}

/// What waits for another relay on one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// What the lane carries: `control`, `messages`, `slots` or `media`.
    pub class: String,
    /// Items that wait.
    pub items: u64,
    /// How long the oldest has waited, milliseconds.
    pub oldest_ms: Option<u64>,
}

/// The operator's rule on a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRule {
    /// `allow` or `deny`.
    pub rule: String,
    /// Since when, milliseconds since 1970.
    pub since: u64,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The relay.
    pub domain: String,
    /// How it stands.
    pub state: State,
    /// The operator's rule on it.
    pub rule: Option<OwnRule>,
    /// What waits for it, by lane; lanes on which nothing waits are left out.
    pub backlog: Vec<Backlog>,
    /// What went wrong last, since it was connected last.
    pub last_error: Option<String>,
}

impl Summary {
    /// Items that wait, on all lanes.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.backlog.iter().map(|lane| lane.items).sum()
    }

    /// How long the oldest item has waited, milliseconds.
    #[must_use]
    pub fn lag_ms(&self) -> Option<u64> {
        self.backlog.iter().filter_map(|lane| lane.oldest_ms).max()
    }
}

/// A node of another relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKey {
    /// Its PeerId.
    pub peer_id: String,
    /// From when it is good, milliseconds since 1970.
    pub not_before: u64,
    /// Until when.
    pub not_after: u64,
}

/// The manifest that is pinned for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its position in the chain.
    pub seq: u64,
    /// The relay's identity through all changes of keys.
    pub lineage: String,
    /// The root key.
    pub root: String,
    /// The key that orders rooms.
    pub ordering: String,
    /// The nodes.
    pub nodes: Vec<NodeKey>,
    /// Where they listen.
    pub addresses: Vec<String>,
    /// The base URL for its clients.
    pub client_url: String,
    /// Relays that hold mailbags for it.
    pub holders: Vec<String>,
    /// Relays through which it is reached by circuit.
    pub circuits: Vec<String>,
    /// When it was made, milliseconds since 1970.
    pub created: u64,
}

/// Two manifests of one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The position.
    pub seq: u64,
    /// SHA-256 of the one that was pinned.
    pub pinned: String,
    /// SHA-256 of the other one.
    pub other: String,
    /// When it was found, milliseconds since 1970.
    pub found: u64,
    /// Whether the operator has decided since.
    pub settled: bool,
}

/// What a relay said of itself last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastHello {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// The lowest version that it speaks.
    pub min_version: u16,
    /// The highest.
    pub max_version: u16,
    /// How far its clock was ahead, milliseconds.
    pub ahead_ms: i64,
}

/// What came from another relay on one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// What the lane carries.
    pub class: String,
    /// How many items.
    pub items: u64,
    /// When the newest came, milliseconds since 1970.
    pub last: u64,
}

/// How another relay has behaved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conduct {
    /// `normal`, `slowed` or `cut-off`.
    pub treatment: String,
    /// Until when it is cut off, milliseconds since 1970.
    pub until: Option<u64>,
    /// Its points, which fade: from 100 on it is slowed, at 400 cut off.
    pub points: u32,
    /// How often it broke each rule.
    pub broken: Vec<Broken>,
}

/// A rule that another relay has broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The rule's name.
    pub rule: String,
    /// How often.
    pub times: u64,
}

/// What a pardon did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pardoned {
    /// The relay.
    pub domain: String,
    /// Whether there was anything to forgive.
    pub anything: bool,
}

/// Everything about one relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// As in the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// Whether the policy with the operator's rules permits it.
    pub permitted: bool,
    /// The configuration's policy.
    pub policy: String,
    /// The manifest by which it is known.
    pub manifest: Option<Pinned>,
    /// Its last hello since this relay was started.
    pub hello: Option<LastHello>,
    /// What came from it.
    pub arrived: Vec<Arrived>,
    /// The last lane to it that began anew since this relay was started, because one of the two was restored from a copy.
    #[serde(default)]
    pub restored: Option<RestoredLane>,
    /// Contradicting manifests of it.
    pub evidence: Vec<Evidence>,
    /// How it has behaved, if it has broken any rule of late.
    #[serde(default)]
    pub conduct: Option<Conduct>,
}

/// A lane that began anew, because one of the two relays was restored from a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredLane {
    /// What it carries.
    pub class: String,
    /// Whose data was restored: `here` or `there`.
    pub whose: String,
    /// When that was found, milliseconds since 1970.
    pub found: u64,
}

/// What a change of a rule did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The relay.
    pub domain: String,
    /// Whether it is federated with now.
    pub permitted: bool,
    /// The rule that holds now, if there is one.
    pub rule: Option<OwnRule>,
    /// The configuration's policy.
    pub policy: String,
    /// Items that wait for it: where it is denied they stay, until they expire.
    pub waiting: u64,
}
