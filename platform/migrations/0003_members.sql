-- The processes of the service that are at work, each with the time until which it is
-- believed to be. Partitions are shared out among them.
CREATE TABLE members (
    holder TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
