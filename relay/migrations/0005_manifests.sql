-- The manifests by which other relays were known, and links of their chains that were looked up since: what was signed
-- under an earlier one can be checked still.
CREATE TABLE manifests (
    domain TEXT NOT NULL,
    seq INTEGER NOT NULL,
    manifest BLOB NOT NULL,
    PRIMARY KEY (domain, seq)
) STRICT, WITHOUT ROWID;

-- Two manifests of one position: `pinned` was known here when `other` came. Settled once the operator has decided.
CREATE TABLE manifest_evidence (
    id INTEGER PRIMARY KEY,
    domain TEXT NOT NULL,
    pinned BLOB NOT NULL,
    other BLOB NOT NULL,
    found INTEGER NOT NULL,
    settled INTEGER NOT NULL
) STRICT;
CREATE INDEX manifest_evidence_domain ON manifest_evidence (domain);
