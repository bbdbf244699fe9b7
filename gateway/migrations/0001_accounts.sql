CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    -- Lower-cased.
    email TEXT NOT NULL UNIQUE,
    -- PHC string of argon2id.
    password_hash TEXT NOT NULL,
    -- customer, operator
    role TEXT NOT NULL,
    -- The idempotency key that the sign-up carried.
    signup_key TEXT,
    created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    -- SHA-256 of the token, hex: who reads this table cannot log in with it.
    token_hash TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
)
