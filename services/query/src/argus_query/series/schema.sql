-- One row per curve. job_id '' holds what a run itself reported.
CREATE TABLE series (
    batch_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    family text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    series_id uuid NOT NULL,
    n_points bigint NOT NULL,
    min_value float8,           -- of the finite values; NULL while there is none
    max_value float8,
    last_attempt int NOT NULL,  -- the last point by (attempt, step, time, tie, value)
    last_step bigint NOT NULL,
    last_time_us bigint NOT NULL,
    last_tie bigint NOT NULL,
    last_value float8 NOT NULL,
    PRIMARY KEY (batch_id, job_id, family, key)
) WITH (fillfactor = 80);

-- Points of one curve and attempt, packed (see points.py and tiers.py). Any cut of the points into blocks is right.
CREATE TABLE series_blocks (
    series_id uuid NOT NULL,
    attempt int NOT NULL,
    first_step bigint NOT NULL,
    last_step bigint NOT NULL,
    first_time_us bigint NOT NULL,  -- smallest and largest time, which need not be those of the first and last step
    last_time_us bigint NOT NULL,
    n int NOT NULL,
    settled bool NOT NULL,          -- false: maintenance has not looked at it
    points bytea NOT NULL,
    tier_width bigint,              -- steps per bucket, a power of two; NULL where the block is too small for a tier
    tier_rows bytea,
    tier_sums bytea,
    coarse_width bigint,            -- the same with so few buckets that a long curve is drawn from these alone
    coarse_rows bytea,
    coarse_sums bytea,
    not_finite bytea                -- the newest points that are no numbers; only beside a tier
);
CREATE INDEX ON series_blocks (series_id, attempt, first_step);
CREATE INDEX ON series_blocks (series_id) WHERE NOT settled;
ALTER TABLE series_blocks
    ALTER points SET STORAGE EXTERNAL, ALTER tier_rows SET STORAGE EXTERNAL,
    ALTER tier_sums SET STORAGE EXTERNAL, ALTER not_finite SET STORAGE EXTERNAL;
