-- The client keys of the gateway. The key itself is nowhere: what is kept is its SHA-256.
-- Amounts are nano-dollars, times Unix microseconds (UTC).

CREATE TABLE client_keys (
    name               TEXT    NOT NULL,
    digest             BLOB    NOT NULL UNIQUE,
    paygo              TEXT    NOT NULL,  -- as_account, never, allow, daily
    daily_nano_usd     INTEGER,           -- with paygo = daily
    may_use_reserve    INTEGER NOT NULL,
    min_balance_nano_usd INTEGER,
    refuses_unknown    INTEGER NOT NULL,
    created_at_us      INTEGER NOT NULL,
    revoked_at_us      INTEGER,
    PRIMARY KEY (name)
) STRICT;
