-- The event store: the truth about every order, and its outbox. The columns are
-- the outbox's; a row is never deleted. subject = the order's id.
CREATE TABLE order_events (
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
    settled BIGINT NOT NULL DEFAULT 0,
    UNIQUE (subject, sequence)
);
CREATE INDEX order_events_unpublished ON order_events (id) WHERE position IS NULL;
CREATE INDEX order_events_unsettled ON order_events (position) WHERE settled = 0;

-- The fold of each order's events. aggregate: the whole order as JSON; the other
-- columns are what has to be found by.
CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    status TEXT NOT NULL,
    pay_before BIGINT,
    step_due BIGINT,
    aggregate TEXT NOT NULL
);
CREATE INDEX orders_pay_before ON orders (pay_before) WHERE pay_before IS NOT NULL;
CREATE INDEX orders_step_due ON orders (step_due) WHERE step_due IS NOT NULL;

-- The order service's own copy of names and prices, from inventory's events, so
-- that orders are taken while inventory is down.
CREATE TABLE prices (
    sku TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    price BIGINT NOT NULL,
    currency TEXT NOT NULL
);
