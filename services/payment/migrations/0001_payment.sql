-- One payment per order and attempt, as its last event left it. An attempt that
-- was never heard of has no row.
-- state: AUTHORISED, DECLINED, CAPTURED, VOIDED. VOIDED with an empty
-- authorisation_id is a tombstone: the void came before its authorisation.
-- token, last4: what is kept of a card; its number is not.
CREATE TABLE payments (
    order_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    state TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    token TEXT NOT NULL,
    last4 TEXT NOT NULL,
    authorisation_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (order_id, attempt)
);

-- The double-entry ledger: the rows of one entry_id sum to zero. amount is in
-- minor units, a debit above zero, a credit below. Rows are never changed; the
-- key makes it impossible to post an entry twice.
CREATE TABLE ledger_entries (
    entry_id TEXT NOT NULL,
    account TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    order_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (entry_id, account)
);
