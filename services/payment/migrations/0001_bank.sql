-- The bank's side, in a database of its own.

-- What was asked of it, one row per idempotency key, <order>/<attempt>/<operation>.
-- outcome: NONE (asked, and did not get through), APPROVED, DECLINED, CAPTURED,
-- VOIDED. detail: the authorisation's id, or why it was declined.
-- calls: how often it was asked; also the row's version.
CREATE TABLE bank_operations (
    key TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    calls BIGINT NOT NULL,
    at BIGINT NOT NULL
);

-- The money it holds, has charged, or has let go.
-- state: HELD, CHARGED, RELEASED.
CREATE TABLE bank_holds (
    order_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    token TEXT NOT NULL,
    authorisation_id TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (order_id, attempt)
);
