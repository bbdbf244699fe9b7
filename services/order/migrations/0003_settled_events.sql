-- A settled event is out of both indexes by its mark alone, so it need not be told where
-- it stood, and one that settles soon is written once more and not moved.
DROP INDEX order_events_unpublished;
DROP INDEX order_events_unsettled;
CREATE INDEX order_events_unpublished ON order_events (id) WHERE position IS NULL AND settled = 0;
CREATE INDEX order_events_unsettled ON order_events (position) WHERE position IS NOT NULL AND settled = 0;
