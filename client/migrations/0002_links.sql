-- The manifests of relays that were verified, each at its place in the chain: what was signed under an earlier one is
-- checked with the key that it names.
CREATE TABLE links (
    domain TEXT NOT NULL,
    seq INTEGER NOT NULL,
    manifest BLOB NOT NULL,
    PRIMARY KEY (domain, seq)
) STRICT;

-- The manifest that the decision named which led to the room's epoch: a hub does not go back behind it.
ALTER TABLE rooms ADD COLUMN manifest INTEGER NOT NULL DEFAULT 0;
