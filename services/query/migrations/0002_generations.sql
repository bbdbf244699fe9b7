-- Read models that can be rebuilt beside the live one, and sales by minute.
--
-- Each row of a read model belongs to a generation. Readers see the live one only;
-- a rebuild writes another beside it. Neither engine moves a primary key the same
-- way, so each table is made anew, filled from the old one and given its name.

-- Where each read model stands. All live ones are folded in the transaction that
-- appends to the log, which locks these rows first: so one process at a time
-- appends, and positions are in the order of the commits.
--
-- generation: the live one. position: of the newest event folded into it.
-- folded_at: when that was, Unix milliseconds; 0: never.
-- building_generation, building_position: set while a rebuild is under way.
-- rebuild_id: of the last rebuild. rebuild_begun_at, rebuild_at: when it began, and
-- when its last step was, Unix milliseconds.
-- rebuilt_rows, rebuilt_differences: what the last finished rebuild came to.
CREATE TABLE read_models (
    name TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    position BIGINT NOT NULL,
    folded_at BIGINT NOT NULL,
    building_generation BIGINT,
    building_position BIGINT,
    rebuild_id TEXT,
    rebuild_begun_at BIGINT,
    rebuild_at BIGINT,
    rebuilt_rows BIGINT,
    rebuilt_differences BIGINT
);
INSERT INTO read_models (name, generation, position, folded_at)
VALUES ('orders', 1, 0, 0), ('products', 1, 0, 0), ('notifications', 1, 0, 0), ('sales', 1, 0, 0);
UPDATE read_models
SET position = COALESCE((SELECT MAX(position) FROM event_log), 0),
    folded_at = COALESCE((SELECT MAX(time) FROM event_log), 0);

-- version: sequence of the last event folded.
-- pay_before, fulfil_at: Unix milliseconds, while there is something to wait for.
-- total, refunded: minor units. pieces: the sum of the lines' quantities.
-- cancelling: 1 while a cancellation is remembered and waits for a step to end.
-- refund, returned: JSON; the refund that is under way, and what has come back.
-- lines, address: JSON; written with the first event and never changed.
CREATE TABLE orders_new (
    generation BIGINT NOT NULL,
    id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT NOT NULL,
    version BIGINT NOT NULL,
    placed_at BIGINT NOT NULL,
    pay_before BIGINT,
    fulfil_at BIGINT,
    total BIGINT NOT NULL,
    currency TEXT NOT NULL,
    pieces BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    cancelling BIGINT NOT NULL,
    refund TEXT,
    returned TEXT,
    lines TEXT NOT NULL,
    address TEXT,
    PRIMARY KEY (generation, id)
);
INSERT INTO orders_new (generation, id, customer_id, status, status_reason, version, placed_at, pay_before, total,
                        currency, pieces, refunded, cancelling, lines, address)
SELECT 1, id, customer_id, status, status_reason, version, placed_at, pay_before, total, currency,
       COALESCE((SELECT CAST(SUM(CAST(l.value->>'quantity' AS BIGINT)) AS BIGINT) FROM jsonb_each(lines) AS l), 0),
       0, 0, lines, address
FROM orders;
DROP TABLE orders;
ALTER TABLE orders_new RENAME TO orders;
-- None on status: it changes with every step of every order, and the newest
-- orders, which are the ones asked for, are found through these.
CREATE INDEX orders_by_customer ON orders (generation, customer_id, placed_at, id);
CREATE INDEX orders_by_time ON orders (generation, placed_at, id);

CREATE TABLE products_new (
    generation BIGINT NOT NULL,
    sku TEXT NOT NULL,
    name TEXT,
    price BIGINT,
    currency TEXT,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    search_text TEXT NOT NULL,
    PRIMARY KEY (generation, sku)
);
INSERT INTO products_new (generation, sku, name, price, currency, on_hand, reserved, search_text)
SELECT 1, sku, name, price, currency, on_hand, reserved, search_text FROM products;
DROP TABLE products;
ALTER TABLE products_new RENAME TO products;
CREATE INDEX products_by_name ON products (generation, name, sku) WHERE name IS NOT NULL;

-- topic: what a message is about; empty for those of before there were topics.
-- mailed_at: when a mail server took it, Unix milliseconds.
CREATE TABLE notifications_new (
    generation BIGINT NOT NULL,
    id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    mailed_at BIGINT,
    PRIMARY KEY (generation, id)
);
INSERT INTO notifications_new (generation, id, customer_id, order_id, topic, title, body, at)
SELECT 1, id, customer_id, order_id, '', title, body, at FROM notifications;
DROP TABLE notifications;
ALTER TABLE notifications_new RENAME TO notifications;
CREATE INDEX notifications_by_customer ON notifications (generation, customer_id, at, id);
CREATE INDEX notifications_by_time ON notifications (generation, at, id);

-- Tumbling windows of one minute over the orders, by the time of the event.
-- minute: where a window begins, Unix milliseconds. revenue, refunded: minor units.
CREATE TABLE sales (
    generation BIGINT NOT NULL,
    minute BIGINT NOT NULL,
    currency TEXT NOT NULL,
    orders BIGINT NOT NULL,
    pieces BIGINT NOT NULL,
    revenue BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    PRIMARY KEY (generation, minute, currency)
);
-- What was sold before there were windows. Nothing had been refunded.
INSERT INTO sales (generation, minute, currency, orders, pieces, revenue, refunded)
SELECT 1, e.time - e.time % 60000, o.currency, COUNT(*), CAST(SUM(o.pieces) AS BIGINT), CAST(SUM(o.total) AS BIGINT), 0
FROM event_log AS e JOIN orders AS o ON o.generation = 1 AND o.id = e.subject
WHERE e.source = '/order' AND e.type = 'orderly.order.v1.OrderConfirmed'
GROUP BY e.time - e.time % 60000, o.currency;
