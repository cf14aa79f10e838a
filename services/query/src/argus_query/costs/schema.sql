-- The ledger. Only runs that say on what machine they run, or of which a bill says what they cost, have rows here.

-- What each attempt of each job ('': of the run itself) has said: all that its tries follow from, in whatever order it came.
-- depends: what the run itself says matters to it, such as its end.
CREATE TABLE cost_usages (
    batch_id  text COLLATE "C" NOT NULL,
    job_id    text COLLATE "C" NOT NULL,
    attempt   integer NOT NULL,
    workspace text NOT NULL,
    depends   boolean NOT NULL,
    state     json NOT NULL,
    PRIMARY KEY (batch_id, job_id, attempt)
);

-- When attempts used a machine, and their part of its price. Times by the sender's clock; ended_at null: not over, and not divided.
-- Amounts are billionths of a dollar; null: no price is known.
CREATE TABLE cost_tries (
    batch_id      text COLLATE "C" NOT NULL,
    job_id        text COLLATE "C" NOT NULL,
    attempt       integer NOT NULL,
    number        integer NOT NULL,
    workspace     text NOT NULL,
    host          text COLLATE "C",
    instance_type text COLLATE "C",
    capacity      text,
    milli_cpus    bigint,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    outcome       text,
    share_us      bigint,
    nano_usd      bigint,
    spot_nano_usd bigint,
    partly        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (batch_id, job_id, attempt, number)
) WITH (fillfactor = 80);

-- Who ran beside whom: mostly asked of a moment ago, behind which nothing has ended yet.
CREATE INDEX cost_tries_by_host ON cost_tries (workspace, host, ended_at) WHERE host IS NOT NULL AND ended_at IS NOT NULL;
CREATE INDEX cost_tries_by_type ON cost_tries (workspace, instance_type, ended_at)
    WHERE instance_type IS NOT NULL AND ended_at IS NOT NULL;

-- Bills, all of them: the newest about the same counts. attempt null: of all attempts of the job (job_id '': of the run).
CREATE TABLE cost_records (
    batch_id    text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    job_id      text COLLATE "C" NOT NULL,
    attempt     integer,
    recorded_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    position    bigint NOT NULL,
    nano_usd    bigint NOT NULL,
    basis       text,
    PRIMARY KEY (batch_id, event_id)
);

-- Prices, all of them: of several for the same moment the one recorded last counts.
CREATE TABLE cost_prices (
    workspace         text NOT NULL,
    instance_type     text COLLATE "C" NOT NULL,
    capacity          text NOT NULL,
    effective_from    timestamptz NOT NULL,
    recorded_at       timestamptz NOT NULL,
    event_id          text COLLATE "C" NOT NULL,
    received_at       timestamptz NOT NULL,
    position          bigint NOT NULL,
    nano_usd_per_hour bigint NOT NULL,
    recorded_by       text NOT NULL,
    PRIMARY KEY (workspace, instance_type, capacity, effective_from, event_id)
);
