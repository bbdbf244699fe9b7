-- The event log without what it said twice. A row keeps its envelope, and beside it
-- what the log is looked up by; the time and the event's id stand in the envelope.
--
-- correlation_id: absent where it is the subject, as it is for most events of an
-- order. So few rows need an entry in the second index.
-- The key begins with the subject: whoever speaks of an order, it is in one place,
-- which serves the timeline as well, and a batch changes few pages of it.
CREATE TABLE event_log_new (
    position {identity},
    subject TEXT NOT NULL,
    source TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    type TEXT NOT NULL,
    correlation_id TEXT,
    envelope TEXT NOT NULL,
    UNIQUE (subject, source, sequence)
);
-- Positions are counted anew, in the same order: Postgres leaves gaps between them.
INSERT INTO event_log_new (subject, source, sequence, type, correlation_id, envelope)
SELECT subject, source, sequence, type, NULLIF(correlation_id, subject), envelope FROM event_log ORDER BY position;
UPDATE read_models
SET position = (SELECT COUNT(*) FROM event_log AS e WHERE e.position <= read_models.position),
    building_position = CASE WHEN building_position IS NULL THEN NULL ELSE
        (SELECT COUNT(*) FROM event_log AS e WHERE e.position <= read_models.building_position) END;
DROP TABLE event_log;
ALTER TABLE event_log_new RENAME TO event_log;
CREATE INDEX event_log_by_correlation ON event_log (correlation_id) WHERE correlation_id IS NOT NULL;
