-- Who may write. Each start raises the fence, and each transaction checks that it is still its own.
CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    domain TEXT NOT NULL,
    node TEXT NOT NULL,
    fence INTEGER NOT NULL
) STRICT;

-- Accounts that live here, with their chains of signed events.
CREATE TABLE accounts (
    account BLOB PRIMARY KEY,
    head BLOB NOT NULL,
    seq INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    account BLOB NOT NULL REFERENCES accounts (account),
    seq INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    name TEXT PRIMARY KEY,
    account BLOB NOT NULL UNIQUE REFERENCES accounts (account),
    binding BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
    token_hash BLOB PRIMARY KEY,
    uses_left INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each device of an account, revoked ones included: a device never comes back.
CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts (account),
    device BLOB NOT NULL,
    active INTEGER NOT NULL,
    UNIQUE (account, device)
) STRICT;

-- Where each device stands: apart from the row above, because this one changes with every message.
CREATE TABLE device_state (
    device INTEGER PRIMARY KEY REFERENCES devices (id),
    incarnation BLOB,
    accepted INTEGER NOT NULL,
    acked INTEGER NOT NULL,
    next INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_device ON sessions (account, device);

CREATE TABLE blocks (
    by_account BLOB NOT NULL,
    account BLOB NOT NULL,
    PRIMARY KEY (by_account, account)
) STRICT, WITHOUT ROWID;

-- The body hash of each number in a device's credit window.
CREATE TABLE submits (
    device INTEGER NOT NULL REFERENCES devices (id),
    number INTEGER NOT NULL,
    body_hash BLOB NOT NULL,
    PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;

-- What waits for devices and relays: each body once, however many wait for it. It goes with its last row.
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    room BLOB NOT NULL,
    hub TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    origin TEXT NOT NULL,
    received INTEGER NOT NULL,
    submitter INTEGER,
    number INTEGER,
    relays BLOB,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE mailbox (
    device INTEGER NOT NULL REFERENCES devices (id),
    seq INTEGER NOT NULL,
    item INTEGER NOT NULL REFERENCES items (id),
    PRIMARY KEY (device, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX mailbox_item ON mailbox (item);

-- Outgoing lanes.
CREATE TABLE lanes (
    id INTEGER PRIMARY KEY,
    peer TEXT NOT NULL,
    class INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    next INTEGER NOT NULL,
    acked INTEGER NOT NULL,
    UNIQUE (peer, class)
) STRICT;

CREATE TABLE outbox (
    lane INTEGER NOT NULL REFERENCES lanes (id),
    seq INTEGER NOT NULL,
    item INTEGER NOT NULL REFERENCES items (id),
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_item ON outbox (item);

-- Incoming lanes: the position that is expected next.
CREATE TABLE cursors (
    origin TEXT NOT NULL,
    class INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    next INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    PRIMARY KEY (origin, class, incarnation)
) STRICT, WITHOUT ROWID;

-- Rooms in which this relay takes part, or did: `active` is 0 once nobody of this relay is in the room any more.
CREATE TABLE rooms (
    room BLOB PRIMARY KEY,
    hub TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    suite INTEGER NOT NULL,
    context BLOB NOT NULL,
    founded BLOB,
    active INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The public tree, from which the commits behind it are replayed.
CREATE TABLE snapshots (
    room BLOB PRIMARY KEY REFERENCES rooms (room),
    epoch INTEGER NOT NULL,
    snapshot BLOB NOT NULL
) STRICT;

-- The newest group info that a device has left, for whoever may ask for the tree.
CREATE TABLE group_infos (
    room BLOB PRIMARY KEY REFERENCES rooms (room),
    epoch INTEGER NOT NULL,
    group_info BLOB NOT NULL
) STRICT;

CREATE TABLE commits (
    id INTEGER PRIMARY KEY,
    room BLOB NOT NULL REFERENCES rooms (room),
    epoch INTEGER NOT NULL,
    commit_hash BLOB NOT NULL,
    created INTEGER NOT NULL,
    decided BLOB NOT NULL,
    UNIQUE (room, epoch)
) STRICT;

-- Decisions that contradict one that was applied.
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    room BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    commit_hash BLOB NOT NULL,
    created INTEGER NOT NULL,
    decided BLOB NOT NULL,
    UNIQUE (room, epoch, commit_hash)
) STRICT;

-- Who was on the roster from which epoch to before which.
CREATE TABLE members (
    room BLOB NOT NULL REFERENCES rooms (room),
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    home TEXT NOT NULL,
    from_epoch INTEGER NOT NULL,
    to_epoch INTEGER,
    PRIMARY KEY (room, device, from_epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_home ON members (home, room) WHERE to_epoch IS NULL;

-- Items of lanes that wait until their room reaches the epoch that they need.
CREATE TABLE aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room BLOB NOT NULL,
    origin TEXT NOT NULL,
    hub TEXT NOT NULL,
    needs INTEGER NOT NULL,
    received INTEGER NOT NULL,
    item BLOB NOT NULL
) STRICT;
CREATE INDEX aside_room ON aside (room, origin);

CREATE TABLE key_packages (
    device INTEGER NOT NULL REFERENCES devices (id),
    suite INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    hash BLOB NOT NULL,
    key_package BLOB NOT NULL,
    PRIMARY KEY (device, suite, last_resort, hash)
) STRICT, WITHOUT ROWID;

-- Answers to claims of key packages, so that a repeat gets the same.
CREATE TABLE claims (
    claim_hash BLOB PRIMARY KEY,
    created INTEGER NOT NULL,
    answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    ticket BLOB PRIMARY KEY,
    claimant BLOB NOT NULL,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    key_package BLOB NOT NULL,
    created INTEGER NOT NULL,
    used_room BLOB,
    used_epoch INTEGER,
    claim BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest manifest by which each other relay is known.
CREATE TABLE pins (
    domain TEXT PRIMARY KEY,
    manifest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
