-- When an order is shipped or delivered; null: nothing is planned.
ALTER TABLE orders ADD COLUMN fulfil_at BIGINT;
CREATE INDEX orders_fulfil_at ON orders (fulfil_at) WHERE fulfil_at IS NOT NULL;

-- The fold tells now whether the goods have left the stock, and of the orders there
-- are so far the confirmed ones have. Inside the aggregate's texts every quotation
-- mark is escaped, so this finds the field and nothing else.
UPDATE orders SET aggregate = REPLACE(aggregate, '"captured":true', '"captured":true,"stock_committed":true')
WHERE status = 'CONFIRMED';
