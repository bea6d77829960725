-- Until when a key package may be claimed. Those from before carry the time in themselves alone, for their claimant.
ALTER TABLE key_packages ADD COLUMN not_after INTEGER NOT NULL DEFAULT 9223372036854775807;
