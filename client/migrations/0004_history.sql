-- Where a message stands in its conversation, before its `local`: one that an import brought by the time that it names, and
-- behind all of them what came through this vault (2^62). `by_alias` is who an import says wrote it.
ALTER TABLE messages ADD COLUMN rank INTEGER NOT NULL DEFAULT 4611686018427387904;
ALTER TABLE messages ADD COLUMN by_alias TEXT;
DROP INDEX messages_room;
DROP INDEX messages_peer;
CREATE INDEX messages_room ON messages (room, rank);
CREATE INDEX messages_peer ON messages (peer, rank);
CREATE INDEX messages_rank ON messages (rank);
CREATE INDEX messages_room_sent ON messages (room, sent);
CREATE INDEX messages_peer_sent ON messages (peer, sent);
CREATE INDEX messages_imported ON messages (to_alias) WHERE rank < 4611686018427387904;

-- What this vault opens itself takes the place of what an import only claims.
CREATE TRIGGER messages_proven BEFORE INSERT ON messages
WHEN new.rank = 4611686018427387904 AND new.id IS NOT NULL BEGIN
    DELETE FROM messages WHERE account = new.account AND room = new.room AND id = new.id AND rank < 4611686018427387904;
END;

-- The full text, by every three characters in a row, so that parts of words are found too. What is deleted leaves the index
-- at once.
CREATE VIRTUAL TABLE message_text USING fts5 (text, content = 'messages', content_rowid = 'local', tokenize = 'trigram');
INSERT INTO message_text (message_text, rank) VALUES ('secure-delete', 1);
INSERT INTO message_text (rowid, text) SELECT local, text FROM messages;
CREATE TRIGGER message_text_added AFTER INSERT ON messages BEGIN
    INSERT INTO message_text (rowid, text) VALUES (new.local, new.text);
END;
CREATE TRIGGER message_text_removed AFTER DELETE ON messages BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.local, old.text);
END;
CREATE TRIGGER message_text_changed AFTER UPDATE OF text ON messages WHEN old.text IS NOT new.text BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.local, old.text);
    INSERT INTO message_text (rowid, text) VALUES (new.local, new.text);
END;

-- How long a conversation is kept; by the account with whom it is, or else by its room.
CREATE TABLE retention (
    conversation BLOB PRIMARY KEY,
    days INTEGER NOT NULL CHECK (days > 0)
) STRICT;

-- To which key backups are sealed, and the recovery key of whose words it comes; one row.
CREATE TABLE backup_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL,
    recovery BLOB NOT NULL
) STRICT;

-- When this vault was brought back from a backup; as long as it stands, the device is not enrolled.
ALTER TABLE owner ADD COLUMN restored INTEGER;
