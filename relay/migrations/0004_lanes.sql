-- A lane that begins another life keeps its rows: the position of a row is its number less `base`.
ALTER TABLE lanes ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
-- Behind this position nothing had left this relay when it was started.
ALTER TABLE lanes ADD COLUMN handed INTEGER NOT NULL DEFAULT 1;
-- The bytes that wait, for the quota of each destination.
ALTER TABLE lanes ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET bytes = (SELECT length(i.body) FROM items i WHERE i.id = outbox.item);
UPDATE lanes SET bytes = (SELECT coalesce(sum(o.bytes), 0) FROM outbox o WHERE o.lane = lanes.id);
