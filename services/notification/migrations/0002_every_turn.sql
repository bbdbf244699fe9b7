-- An order's copy grows a standing: how far it has come, as far as it matters for
-- what is told. paying: a card was offered and the bank has not answered yet.
-- remind_at: when to remind of the payment, Unix milliseconds; NULL: not at all.
-- refunded: minor units given back so far.
ALTER TABLE order_customers RENAME TO orders;
ALTER TABLE orders RENAME COLUMN card_offered TO paying;
ALTER TABLE orders ADD COLUMN standing TEXT NOT NULL DEFAULT 'WAITING';
ALTER TABLE orders ADD COLUMN remind_at BIGINT;
ALTER TABLE orders ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
CREATE INDEX orders_remind_at ON orders (remind_at) WHERE remind_at IS NOT NULL;

-- A message is named by its topic and no more by the event that it tells of.
-- mailed_at: when a mail server took it, Unix milliseconds. mail_error: why it was
-- not mailed though it was to be. Both NULL: not to be mailed, or not yet.
ALTER TABLE notifications RENAME COLUMN kind TO topic;
ALTER TABLE notifications ADD COLUMN mailed_at BIGINT;
ALTER TABLE notifications ADD COLUMN mail_error TEXT;
UPDATE notifications SET topic = CASE topic
    WHEN 'OrderPlaced' THEN 'order-placed'
    WHEN 'OrderAwaitingPayment' THEN 'order-awaiting-payment'
    WHEN 'OrderRejected' THEN 'order-rejected'
    WHEN 'OrderPaymentDeclined' THEN 'payment-declined'
    WHEN 'OrderPaymentAbandoned' THEN 'payment-abandoned'
    WHEN 'OrderConfirmed' THEN 'order-confirmed'
    WHEN 'OrderExpired' THEN 'order-expired'
    WHEN 'OrderLatePaymentRefused' THEN 'late-payment-refused'
    WHEN 'OrderPaymentVoided' THEN 'payment-voided'
    ELSE topic END;

-- Which messages a customer also wants by mail: ALL, ESSENTIAL or NONE. Who has no
-- row has never said, and gets ALL.
CREATE TABLE preferences (
    customer_id TEXT PRIMARY KEY,
    mail TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
