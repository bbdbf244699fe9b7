-- What every service keeps beside its own tables.

-- Messages decided and not yet settled. Written in the transaction that decided
-- them; published by the relay; deleted once every group has acked them.
CREATE TABLE outbox (
    id {identity},
    stream TEXT NOT NULL,
    partition BIGINT NOT NULL,
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    type TEXT NOT NULL,
    time BIGINT NOT NULL,
    envelope TEXT NOT NULL,
    position TEXT,
    settled BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE position IS NULL;

-- The last sequence given per (source, subject).
CREATE TABLE outbox_heads (
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    last BIGINT NOT NULL,
    PRIMARY KEY (source, subject)
);

-- The broker's incarnation that the relay last published to, per partition.
CREATE TABLE relay (
    name TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL
);

-- The last sequence obeyed per (source, subject). Kept for ever.
CREATE TABLE inbox (
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    last BIGINT NOT NULL,
    PRIMARY KEY (source, subject)
);

-- Messages that failed, and those lined up behind them.
-- state: RETRY (next_due says when), BEHIND (waits for the one before it),
-- DEAD (a dead letter: waits for an operator).
CREATE TABLE parked (
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    stream TEXT NOT NULL,
    envelope TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    errors TEXT NOT NULL,
    next_due BIGINT,
    parked_at BIGINT NOT NULL,
    PRIMARY KEY (source, subject, sequence)
);
CREATE INDEX parked_due ON parked (next_due) WHERE next_due IS NOT NULL;

-- The results of commands, under the ids that clients retry with.
CREATE TABLE idempotency (
    command_id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    result TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- Who may act for a partition, until when. The epoch fences off the one before.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
