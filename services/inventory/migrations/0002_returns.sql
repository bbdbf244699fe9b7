-- Sold goods that came back, by the order's refund that they belong to. JSON array
-- of {refund, sku, quantity}; of a SKU never more than lines has. Only a COMMITTED
-- reservation has any.
ALTER TABLE reservations ADD COLUMN returned TEXT NOT NULL DEFAULT '[]';

-- In stock_movements, one more kind: RETURNED.
