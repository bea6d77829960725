-- Whether another relay orders a room of this one is asked for every claim of key packages.
CREATE INDEX rooms_hub ON rooms (hub) WHERE active = 1;
-- Word that came back is forgotten by its age.
CREATE INDEX words_created ON words (created);
