-- Envelopes that other relays left here for a relay that is down, sealed to it. `expires` is the origin's word and part of
-- what is sealed; `until` is when this relay throws the bag away.
CREATE TABLE mailbags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    origin TEXT NOT NULL,
    envelope BLOB NOT NULL,
    expires INTEGER NOT NULL,
    until INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (destination, origin, envelope)
) STRICT;
CREATE INDEX mailbags_order ON mailbags (destination, origin, id);
CREATE INDEX mailbags_until ON mailbags (until);

-- How much is held, so that no quota has to count bags.
CREATE TABLE mailbag_usage (
    destination TEXT NOT NULL,
    origin TEXT NOT NULL,
    bags INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (destination, origin)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER mailbags_come AFTER INSERT ON mailbags BEGIN
    INSERT OR IGNORE INTO mailbag_usage (destination, origin, bags, bytes) VALUES (new.destination, new.origin, 0, 0);
    UPDATE mailbag_usage SET bags = bags + 1, bytes = bytes + new.size
        WHERE destination = new.destination AND origin = new.origin;
END;

CREATE TRIGGER mailbags_go AFTER DELETE ON mailbags BEGIN
    UPDATE mailbag_usage SET bags = bags - 1, bytes = bytes - old.size
        WHERE destination = old.destination AND origin = old.origin;
    DELETE FROM mailbag_usage WHERE destination = old.destination AND origin = old.origin AND bags = 0;
END;

-- How far each outgoing lane was left with a holder, and until when it is held there.
CREATE TABLE mailbags_left (
    peer TEXT NOT NULL,
    class INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    next INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (peer, class)
) STRICT, WITHOUT ROWID;
