-- What a client key may use beside who pays for it. NULL: not bounded.
-- Amounts are nano-dollars at list price, times Unix microseconds (UTC).

ALTER TABLE client_keys ADD COLUMN budget_daily_nano_usd INTEGER;
ALTER TABLE client_keys ADD COLUMN budget_monthly_nano_usd INTEGER;
ALTER TABLE client_keys ADD COLUMN daily_requests INTEGER;
ALTER TABLE client_keys ADD COLUMN requests_per_minute INTEGER;
ALTER TABLE client_keys ADD COLUMN concurrent_requests INTEGER;
ALTER TABLE client_keys ADD COLUMN models TEXT;           -- patterns, one a line
ALTER TABLE client_keys ADD COLUMN highest_priority TEXT NOT NULL DEFAULT 'interactive';
ALTER TABLE client_keys ADD COLUMN expires_at_us INTEGER;
