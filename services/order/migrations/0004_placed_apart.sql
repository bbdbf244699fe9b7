-- What was ordered never changes, so it stands apart from what does, and is written
-- once: {"placed": …}. NULL: an earlier version wrote it into the aggregate, under the
-- same name; it comes here with the order's next step.
-- aggregate: the rest of the order, without what is as it was at the beginning.
ALTER TABLE orders ADD COLUMN placed TEXT;
