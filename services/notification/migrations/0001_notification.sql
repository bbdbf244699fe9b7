-- What must be known of an order to write about it: this service's own copy,
-- taken from OrderPlaced. goods: in words. pay_before: Unix milliseconds.
CREATE TABLE order_customers (
    order_id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    email TEXT NOT NULL,
    goods TEXT NOT NULL,
    total BIGINT NOT NULL,
    currency TEXT NOT NULL,
    pay_before BIGINT NOT NULL,
    card_offered BIGINT NOT NULL
);

-- Messages to customers. The id is that of the event that a message tells of, so
-- no event is told of twice.
CREATE TABLE notifications (
    notification_id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL
);
