-- What the bank has given back of what it charged, minor units. Nothing is given
-- back before it was charged, and never more than that.
ALTER TABLE bank_holds ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0
    CHECK (refunded >= 0 AND refunded <= amount AND (refunded = 0 OR state = 'CHARGED'));

-- In bank_operations, a refund's key is <order>/<attempt>/refund-<n>, its operation
-- is refund and its amount what is given back. Two more outcomes: REFUNDED, and
-- CAPTURE_REFUSED, with the reason in detail.
