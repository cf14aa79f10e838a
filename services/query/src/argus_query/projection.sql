-- How far the live tables are, and what they are made of.
CREATE TABLE IF NOT EXISTS projection_positions (
    name        text PRIMARY KEY,
    position    bigint NOT NULL,
    day         date NOT NULL,
    received_at timestamptz,
    generation  bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS projection_slices (
    name    text PRIMARY KEY,
    version int NOT NULL
);

-- The first position of each day, so that a reader of the log need not look into older partitions.
CREATE TABLE IF NOT EXISTS projection_days (
    day            date PRIMARY KEY,
    first_position bigint NOT NULL
);

-- Events that a fold could not take: a bug of ours. A rebuild of the slice tries them again.
CREATE TABLE IF NOT EXISTS projection_failures (
    slice       text NOT NULL,
    position    bigint NOT NULL,
    batch_id    text NOT NULL,
    event_id    text,
    kind        text,
    traceback   text NOT NULL,
    failed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (slice, position)
);

-- Locked by readers (shared) and by a swap of tables (alone), so that no answer mixes old and new tables.
CREATE TABLE IF NOT EXISTS projection_swaps ();
