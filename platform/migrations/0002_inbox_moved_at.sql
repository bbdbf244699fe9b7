-- When each line was moved last, Unix milliseconds; 0: before this column was there.
-- For people who look: nothing is decided by it.
ALTER TABLE inbox ADD COLUMN moved_at BIGINT NOT NULL DEFAULT 0;
