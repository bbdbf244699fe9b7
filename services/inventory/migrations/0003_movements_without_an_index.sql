-- Movements are only read all together, by the audit, and then a scan is faster. Each of
-- them cost a write at another place of the index.
DROP INDEX stock_movements_sku;
