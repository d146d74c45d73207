-- One row per request of a client and one per attempt upstream. Times are Unix microseconds (UTC), durations
-- microseconds, prices nano-dollars at list price. NULL means "not known", never zero.
-- There is no column for a prompt, an answer or a key, and there must never be one.

CREATE TABLE requests (
    request_id         TEXT    NOT NULL,
    client_key         TEXT,
    route              TEXT    NOT NULL,
    requested_model    TEXT,
    served_model       TEXT,
    account            TEXT,
    api_key            TEXT,              -- the key's label
    is_stream          INTEGER NOT NULL,
    status             INTEGER,           -- what the client was told
    outcome            TEXT    NOT NULL,
    cause              TEXT,
    attempt_count      INTEGER NOT NULL,
    prompt_tokens      INTEGER,
    completion_tokens  INTEGER,
    cached_tokens      INTEGER,
    tokens_estimated   INTEGER NOT NULL,
    list_price_nano_usd INTEGER,
    coverage           TEXT,
    started_at_us      INTEGER NOT NULL,
    waited_us          INTEGER NOT NULL,
    first_byte_us      INTEGER,
    total_us           INTEGER NOT NULL,
    PRIMARY KEY (request_id)
) STRICT;

CREATE INDEX requests_started ON requests (started_at_us);

CREATE TABLE attempts (
    request_id         TEXT    NOT NULL,
    number             INTEGER NOT NULL,  -- 1 for the first attempt of its request
    served_model       TEXT,
    account            TEXT,
    api_key            TEXT,
    status             INTEGER,           -- what upstream answered
    outcome            TEXT    NOT NULL,
    cause              TEXT,
    prompt_tokens      INTEGER,
    completion_tokens  INTEGER,
    cached_tokens      INTEGER,
    tokens_estimated   INTEGER NOT NULL,
    list_price_nano_usd INTEGER,
    coverage           TEXT,
    started_at_us      INTEGER NOT NULL,
    waited_us          INTEGER NOT NULL,
    first_byte_us      INTEGER,
    total_us           INTEGER NOT NULL,
    PRIMARY KEY (request_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_started ON attempts (started_at_us);
