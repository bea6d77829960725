-- Who owns the vault; one row.
CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    alias TEXT NOT NULL,
    relay_url TEXT NOT NULL,
    device_seed BLOB NOT NULL,
    seal_secret BLOB NOT NULL,
    -- The 24 words, until they were shown.
    recovery TEXT,
    chain BLOB NOT NULL,
    claim BLOB NOT NULL,
    -- The relay's binding; absent until it confirmed the registration.
    binding BLOB,
    -- One life of this vault's numbers: a copy that is restored shows an old one.
    incarnation BLOB NOT NULL,
    -- The last number that was given to a submit, and the last mailbox position that is in this vault.
    last_number INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    registered INTEGER
) STRICT;

-- Relays by the manifest that was verified last.
CREATE TABLE relays (
    domain TEXT PRIMARY KEY,
    manifest BLOB NOT NULL,
    pinned INTEGER NOT NULL
) STRICT;

-- People by account. The alias is pinned to one account; `consent` is whether they may write.
CREATE TABLE contacts (
    account BLOB PRIMARY KEY,
    alias TEXT UNIQUE,
    chain BLOB NOT NULL,
    bound INTEGER NOT NULL,
    consent INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL
) STRICT;

-- Who is blocked, or no longer; `told` is whether the relay knows.
CREATE TABLE blocks (
    account BLOB PRIMARY KEY,
    blocked INTEGER NOT NULL,
    told INTEGER NOT NULL
) STRICT;

-- Aliases that now stand for another account than the pinned one.
CREATE TABLE newcomers (
    alias TEXT PRIMARY KEY,
    account BLOB NOT NULL,
    chain BLOB NOT NULL,
    bound INTEGER NOT NULL,
    seen INTEGER NOT NULL
) STRICT;

-- Rooms that this device is in. `stale` is the last epoch in which the relay refused a message.
CREATE TABLE rooms (
    room BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    suite INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('founding', 'active', 'broken')),
    peer BLOB,
    hub TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL,
    stale INTEGER,
    reason TEXT,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX rooms_peer ON rooms (peer, room);

-- Everything that a device keeps for MLS, as rows that the room code names.
CREATE TABLE mls (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- What was said. `local` is the order in which this vault shows it.
CREATE TABLE messages (
    local INTEGER PRIMARY KEY AUTOINCREMENT,
    room BLOB,
    peer BLOB,
    to_alias TEXT,
    id BLOB,
    account BLOB,
    outgoing INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    received INTEGER,
    content BLOB,
    text TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    unread INTEGER NOT NULL DEFAULT 0,
    -- Own: the number under which it was submitted. Theirs: the hash of the sealed body.
    number INTEGER,
    body_hash BLOB
) STRICT;
CREATE UNIQUE INDEX messages_once ON messages (account, room, id) WHERE id IS NOT NULL;
CREATE INDEX messages_room ON messages (room, local);
CREATE INDEX messages_peer ON messages (peer, local);
CREATE INDEX messages_unread ON messages (local) WHERE unread = 1;
CREATE INDEX messages_number ON messages (number) WHERE number IS NOT NULL;
CREATE INDEX messages_body ON messages (body_hash) WHERE body_hash IS NOT NULL;

-- Own messages that wait to be sealed, in the order of `local`.
CREATE TABLE intents (
    local INTEGER PRIMARY KEY REFERENCES messages (local),
    alias TEXT NOT NULL
) STRICT;
CREATE INDEX intents_alias ON intents (alias, local);

-- Sealed messages that the relay has not accepted yet: these bytes are sent again until it has.
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,
    room BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    body BLOB NOT NULL,
    local INTEGER NOT NULL REFERENCES messages (local)
) STRICT;

-- A direct room on its way, by the account with whom it is.
CREATE TABLE foundings (
    peer BLOB PRIMARY KEY,
    claim BLOB,
    claimed INTEGER,
    packages BLOB,
    room BLOB,
    group_info BLOB,
    founded INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

-- An own commit that waits for its decision: these bytes are sent again until there is one.
CREATE TABLE commits (
    room BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    hash BLOB NOT NULL,
    upload BLOB NOT NULL
) STRICT;

-- Invitations by people who are no contacts.
CREATE TABLE requests (
    room BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    alias TEXT NOT NULL,
    delivery BLOB,
    received INTEGER NOT NULL,
    standing TEXT NOT NULL CHECK (standing IN ('asking', 'accepted', 'blocked')),
    verified INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    reason TEXT
) STRICT;
CREATE INDEX requests_account ON requests (account);

-- Items that wait: for consent, for a later epoch, or for a hub's manifest.
CREATE TABLE held (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room BLOB NOT NULL,
    item BLOB NOT NULL
) STRICT;
CREATE INDEX held_room ON held (room, id);

-- Which relays will say that an epoch is over, and which have.
CREATE TABLE epoch_relays (
    room BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    relay TEXT NOT NULL,
    PRIMARY KEY (room, epoch, relay)
) STRICT, WITHOUT ROWID;
CREATE TABLE epoch_ends (
    room BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    relay TEXT NOT NULL,
    PRIMARY KEY (room, epoch, relay)
) STRICT, WITHOUT ROWID;

-- Key packages that were made here and may not be at the relay yet.
CREATE TABLE key_packages (
    hash BLOB PRIMARY KEY,
    suite INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    uploaded INTEGER NOT NULL DEFAULT 0,
    bytes BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT;
