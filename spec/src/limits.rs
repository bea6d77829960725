//! Every bound of the protocol, with its unit. A decoder refuses what passes one before it allocates for it.

/// Deepest nesting of values in an extension field, levels.
pub const MAX_DEPTH: usize = 16;
/// Most fields in one record, pairs.
pub const MAX_FIELDS: usize = 32;
/// Longest DNS name, bytes (RFC 1035).
pub const MAX_DOMAIN: usize = 253;
/// Longest name part of an alias, bytes.
pub const MAX_ALIAS_NAME: usize = 64;
/// Largest body of a submitted message (an MLS PrivateMessage), bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest commit, Welcome or GroupInfo, bytes.
pub const MAX_HANDSHAKE: usize = 4 * 1024 * 1024;
/// Largest key package, bytes.
pub const MAX_KEY_PACKAGE: usize = 16 * 1024;
/// Largest envelope, bytes, its signature included.
pub const MAX_ENVELOPE: usize = 8 * 1024 * 1024;
/// Most items in one envelope.
pub const MAX_ENVELOPE_ITEMS: usize = 1024;
/// Largest frame of a libp2p request or response, bytes.
pub const MAX_PEER_FRAME: usize = 9 * 1024 * 1024;
/// Largest WebSocket frame, bytes.
pub const MAX_CLIENT_FRAME: usize = MAX_HANDSHAKE * 2 + 64 * 1024;
/// Largest HTTP request body, bytes: two handshakes in base64.
pub const MAX_HTTP_BODY: usize = 12 * 1024 * 1024;
/// Largest account event, bytes, its signature included.
pub const MAX_EVENT: usize = 4 * 1024;
/// Most events in an account's chain.
pub const MAX_CHAIN: usize = 4096;
/// Largest manifest, bytes, its signature included.
pub const MAX_MANIFEST: usize = 16 * 1024;
/// Most addresses in a manifest.
pub const MAX_ADDRESSES: usize = 16;
/// Most nodes in a manifest.
pub const MAX_NODES: usize = 64;
/// Most relays that hold one relay's mailbags.
pub const MAX_HOLDERS: usize = 4;
/// Most relays through which one can be reached by circuit.
pub const MAX_CIRCUITS: usize = 4;
/// Longest mark that a relay puts on a message for itself, bytes.
pub const MAX_MARK: usize = 64;
/// Largest mailbag, bytes: a sealed envelope.
pub const MAX_MAILBAG: usize = MAX_ENVELOPE + 1024;
/// Most mailbags in one list of what is held.
pub const MAX_MAILBAG_LIST: usize = 256;
/// Largest gossiped message, bytes.
pub const MAX_GOSSIP: usize = 4 * 1024;
/// Longest address or URL, bytes.
pub const MAX_URL: usize = 512;
/// Most active devices of one account.
pub const MAX_DEVICES: usize = 32;
/// Most leaves (devices) of a room.
pub const MAX_LEAVES: usize = 1000;
/// Most leaves of a room in the post-quantum suite 0x004E.
pub const MAX_LEAVES_PQ: usize = 200;
/// Most owners and admins of a room, each.
pub const MAX_ROLES: usize = 256;
/// Most accounts that are banned from a room.
pub const MAX_BANNED: usize = 256;
/// Most leave claims in one commit.
pub const MAX_DEPARTURES: usize = 64;
/// Most acceptors of a room's ordering.
pub const MAX_ACCEPTORS: usize = 16;
/// Key packages that a device keeps at its relay for each suite.
pub const KEY_PACKAGES_PER_DEVICE: usize = 50;
/// Most key packages in one upload.
pub const MAX_UPLOAD: usize = 128;
/// How long a leaf claim lets its key package be claimed, milliseconds: 90 days.
pub const LEAF_CLAIM_LIFETIME_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// Submits of one device that its relay takes before it answers: the credit window, items.
pub const SUBMIT_WINDOW: u64 = 256;
/// Pushes to one device that wait for an acknowledgement: the credit window, items.
pub const PUSH_WINDOW: u64 = 1024;
/// Items of a lane in flight to one relay.
pub const LANE_WINDOW_ITEMS: u64 = 4096;
/// Bytes of a lane in flight to one relay.
pub const LANE_WINDOW_BYTES: u64 = 16 * 1024 * 1024;
/// Items kept aside for one (origin, room) that its relay cannot place yet.
pub const MAX_ASIDE: u64 = 10_000;
/// Decisions in one answer to a fetch.
pub const MAX_DECISIONS: usize = 64;
/// Longest human-readable explanation, bytes.
pub const MAX_DETAIL: usize = 512;
/// Longest name of a room, bytes.
pub const MAX_ROOM_NAME: usize = 256;
/// Longest description of a room, bytes.
pub const MAX_ROOM_DESCRIPTION: usize = 4096;
/// Largest picture of a room or a profile, bytes: it travels inside a message.
pub const MAX_PICTURE: usize = 32 * 1024;
/// Longest text message content, bytes. Larger content is an attachment.
pub const MAX_TEXT: usize = 48 * 1024;
/// Clock difference between two relays above which a `hello` is refused, milliseconds: five minutes.
pub const MAX_CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;
/// How long a login challenge may be answered, milliseconds.
pub const CHALLENGE_LIFETIME_MS: u64 = 60 * 1000;
/// How long a session token is good, milliseconds: one day; a client logs in again by itself.
pub const SESSION_LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a relay keeps a durable item, milliseconds: 30 days by default.
pub const RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Commits between two snapshots of a room's public tree.
pub const SNAPSHOT_INTERVAL: u64 = 32;
/// Ratchet generations that may be skipped within one sender's chain (RFC 9420, section 9.1).
pub const MAX_FORWARD_DISTANCE: u32 = 100_000;
/// Ratchet generations that may arrive out of order.
pub const OUT_OF_ORDER_TOLERANCE: u32 = 64;
