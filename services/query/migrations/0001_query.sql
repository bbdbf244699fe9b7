-- Every event that was heard, once, in the order in which it came. The truth of
-- the read side: each read model below is a fold of it.
CREATE TABLE event_log (
    position {identity},
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    type TEXT NOT NULL,
    time BIGINT NOT NULL,
    correlation_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    envelope TEXT NOT NULL,
    UNIQUE (source, subject, sequence)
);
-- The timeline of an order is the log by its correlation id.
CREATE INDEX event_log_by_correlation ON event_log (correlation_id);

-- Orders as their events left them. version: sequence of the last one folded.
-- pay_before: Unix milliseconds while the order waits for its payment.
-- lines, address: JSON; written with the first event and never changed.
CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT NOT NULL,
    version BIGINT NOT NULL,
    placed_at BIGINT NOT NULL,
    pay_before BIGINT,
    total BIGINT NOT NULL,
    currency TEXT NOT NULL,
    lines TEXT NOT NULL,
    address TEXT
);
-- None on status: it changes with every step of every order, and the newest
-- orders, which are the ones asked for, are found through these.
CREATE INDEX orders_by_customer ON orders (customer_id, placed_at, id);
CREATE INDEX orders_by_time ON orders (placed_at, id);

-- The catalogue with its stock. name, price and currency are absent until the
-- product itself has been heard of; such a row is not shown.
CREATE TABLE products (
    sku TEXT PRIMARY KEY,
    name TEXT,
    price BIGINT,
    currency TEXT,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    search_text TEXT NOT NULL
);
CREATE INDEX products_by_name ON products (name, sku) WHERE name IS NOT NULL;

-- What customers were told.
CREATE TABLE notifications (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX notifications_by_customer ON notifications (customer_id, at, id);
CREATE INDEX notifications_by_time ON notifications (at, id);
