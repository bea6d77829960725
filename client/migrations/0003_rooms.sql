-- Rooms that this device is no longer in have states of their own. What a column admits cannot be widened, so the table
-- is made anew.
CREATE TABLE rooms_now (
    room BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    suite INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('founding', 'active', 'broken', 'left', 'removed')),
    peer BLOB,
    hub TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL,
    stale INTEGER,
    reason TEXT,
    created INTEGER NOT NULL,
    manifest INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO rooms_now (room, kind, suite, state, peer, hub, epoch, first_epoch, stale, reason, created, manifest)
    SELECT room, kind, suite, state, peer, hub, epoch, first_epoch, stale, reason, created, manifest FROM rooms;
DROP TABLE rooms;
ALTER TABLE rooms_now RENAME TO rooms;
CREATE INDEX rooms_peer ON rooms (peer, room);

-- Rooms that were made here and that their hub does not have yet.
CREATE TABLE publications (
    room BLOB PRIMARY KEY,
    group_info BLOB NOT NULL
) STRICT;

-- What a room agreed on, from this epoch on until the next row.
CREATE TABLE contexts (
    room BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    context BLOB NOT NULL,
    PRIMARY KEY (room, epoch)
) STRICT, WITHOUT ROWID;

-- Who is in a room, as its tree says.
CREATE TABLE members (
    room BLOB NOT NULL,
    account BLOB NOT NULL,
    role INTEGER NOT NULL,
    home TEXT NOT NULL,
    devices INTEGER NOT NULL,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_account ON members (account);

-- A room's name and picture: the content with the highest version, and the message that brought it.
CREATE TABLE room_infos (
    room BLOB PRIMARY KEY,
    version INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    picture BLOB
) STRICT;

-- What a person wants changed in a room, in order. `account` is who it is about, once that is known.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room BLOB NOT NULL,
    change TEXT NOT NULL,
    account BLOB,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'deciding', 'done', 'refused')),
    reason TEXT,
    -- Whether it goes into a commit of its own, and how often it was tried in vain.
    alone INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Not before this time, after another commit was decided.
    due INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_room ON changes (room, id);
CREATE INDEX changes_open ON changes (room) WHERE state IN ('waiting', 'deciding');

-- Claims of key packages by room and account, with their answers; of a direct room before it is made the room is empty.
CREATE TABLE claims (
    room BLOB NOT NULL,
    account BLOB NOT NULL,
    claim BLOB NOT NULL,
    claimed INTEGER NOT NULL,
    packages BLOB,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;
INSERT INTO claims (room, account, claim, claimed, packages)
    SELECT x'', peer, claim, claimed, packages FROM foundings WHERE claim IS NOT NULL;
ALTER TABLE foundings DROP COLUMN claim;
ALTER TABLE foundings DROP COLUMN claimed;
ALTER TABLE foundings DROP COLUMN packages;

-- An own commit is not sent again before this time.
ALTER TABLE commits ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- Members who have said that they leave, with their signed word, until a commit lets them go. `due` is when this device
-- makes that commit, unless another one was faster.
CREATE TABLE leavings (
    room BLOB NOT NULL,
    account BLOB NOT NULL,
    claim BLOB NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;

-- Accounts whose chains are asked for, because they are in a room of this device.
CREATE TABLE wanted_chains (
    account BLOB PRIMARY KEY,
    home TEXT NOT NULL,
    reason TEXT
) STRICT;

-- Opened messages whose sender's chain is not here yet.
CREATE TABLE unattributed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room BLOB NOT NULL,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    home TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    received INTEGER NOT NULL,
    content BLOB NOT NULL,
    body_hash BLOB NOT NULL UNIQUE
) STRICT;
CREATE INDEX unattributed_account ON unattributed (account, id);

-- What a line is: a text, or what happened in the room, with its parts as JSON. `control` is never shown.
ALTER TABLE messages ADD COLUMN kind TEXT NOT NULL DEFAULT 'text';
ALTER TABLE messages ADD COLUMN news TEXT;
CREATE INDEX messages_news ON messages (local) WHERE news IS NOT NULL;

-- To what kind of room an invitation is; 1 is a direct one.
ALTER TABLE requests ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;
