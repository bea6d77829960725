-- Whether anything of a lane was given out since the last start. The next start takes `handed` from `next` where it was.
ALTER TABLE lanes ADD COLUMN sending INTEGER NOT NULL DEFAULT 0;
UPDATE lanes SET sending = 1;
-- The same for mailboxes: the last position that may have been given out before the last start, and whether the device
-- has said hello since. What lies behind `given` is then new to the device, whatever its vault says that it holds.
ALTER TABLE device_state ADD COLUMN given INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_state ADD COLUMN greeted INTEGER NOT NULL DEFAULT 0;
UPDATE device_state SET greeted = 1;
