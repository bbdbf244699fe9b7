-- Money that was given back of a captured payment, one row per refund. The payment's
-- row is locked and its version moves with each, so their sum never exceeds what was
-- captured.
CREATE TABLE refunds (
    order_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    refund BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    at BIGINT NOT NULL,
    PRIMARY KEY (order_id, attempt, refund)
);

-- In payments, one more state: CAPTURE_REFUSED, with the reason in reason. The bank
-- still holds the money, until the void.
