-- What came before, between and after the attempts of a request: waits, what was left out, switches, cuts, continuations.
-- Words and counts only. There is no column for a prompt, an answer or a key, and there must never be one.

ALTER TABLE requests ADD COLUMN priority TEXT;        -- interactive, agent, batch
ALTER TABLE requests ADD COLUMN deadline_us INTEGER;  -- from its start; NULL: none, or not known

CREATE TABLE steps (
    request_id         TEXT    NOT NULL,
    number             INTEGER NOT NULL,  -- 1 for the first step of its request
    after_attempt      INTEGER NOT NULL,  -- how many attempts had begun
    kind               TEXT    NOT NULL,
    subject            TEXT,              -- what it is about, such as the model that was left
    target             TEXT,              -- where it leads, such as the model that was taken instead
    reason             TEXT,
    amount_before      INTEGER,
    amount_after       INTEGER,
    at_us              INTEGER NOT NULL,  -- when it was over
    took_us            INTEGER NOT NULL,
    PRIMARY KEY (request_id, number)
) STRICT, WITHOUT ROWID;
