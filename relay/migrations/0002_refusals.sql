-- Items of incoming lanes that were taken off undelivered, until their origin is sure to have heard of it.
CREATE TABLE refusals (
    origin TEXT NOT NULL,
    class INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    seq INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    detail TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (origin, class, incarnation, seq)
) STRICT, WITHOUT ROWID;

-- What one origin has put aside in all rooms together is bounded too.
CREATE INDEX aside_origin ON aside (origin);
