-- The catalogue: what is sold, under which name, for how much now.
CREATE TABLE products (
    sku TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    price BIGINT NOT NULL,
    currency TEXT NOT NULL,
    version BIGINT NOT NULL
);

-- How many there are. 0 <= reserved <= on_hand, under any concurrency.
CREATE TABLE stock (
    sku TEXT PRIMARY KEY,
    on_hand BIGINT NOT NULL CHECK (on_hand >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    version BIGINT NOT NULL,
    CHECK (reserved <= on_hand)
);

-- What is set aside for whom. lines: JSON array of {sku, quantity}.
-- state: OPEN, COMMITTED, RELEASED (also the tombstone of an undo before its do), REFUSED.
CREATE TABLE reservations (
    order_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    lines TEXT NOT NULL,
    version BIGINT NOT NULL
);

-- Every change of a level, and why. on_hand of stock = the sum of on_hand here.
CREATE TABLE stock_movements (
    id {identity},
    sku TEXT NOT NULL,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX stock_movements_sku ON stock_movements (sku);
