-- The origin's mark of a message: this relay's own on what it sends, another's on what came from there.
ALTER TABLE items ADD COLUMN mark BLOB;

-- The key of this relay's own marks.
CREATE TABLE mark_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL
) STRICT;

-- Word that came back of messages, so that each is told once.
CREATE TABLE words (
    relay TEXT NOT NULL,
    mark BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (relay, mark)
) STRICT, WITHOUT ROWID;
