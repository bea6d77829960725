-- The operator's word on single domains, which goes before the configuration's policy: 1 allow, 2 deny.
CREATE TABLE peer_rules (
    domain TEXT PRIMARY KEY,
    rule INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
