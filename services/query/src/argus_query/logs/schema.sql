-- Lines of one job (job_id '': of the run itself), packed (see chunks.py). Any cut of the lines into chunks is right.
CREATE TABLE log_chunks (
    batch_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    first_attempt int NOT NULL,
    first_order bigint NOT NULL,
    last_attempt int NOT NULL,
    last_order bigint NOT NULL,
    first_time_us bigint NOT NULL,  -- smallest and largest time
    last_time_us bigint NOT NULL,
    n int NOT NULL,
    n_bytes int NOT NULL,           -- before compression
    settled bool NOT NULL,          -- false: maintenance has not looked at it
    lines bytea NOT NULL
);
CREATE INDEX ON log_chunks (batch_id, job_id, last_attempt, last_order);
CREATE INDEX ON log_chunks (batch_id, last_time_us);
CREATE INDEX ON log_chunks (batch_id, job_id) WHERE NOT settled;
ALTER TABLE log_chunks ALTER lines SET STORAGE EXTERNAL;

CREATE TABLE log_counts (
    batch_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    n_lines bigint NOT NULL,
    PRIMARY KEY (batch_id, job_id)
);
