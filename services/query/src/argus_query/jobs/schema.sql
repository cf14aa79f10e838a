-- A row per job: what lists filter, sort and show.
CREATE TABLE jobs (
    batch_id    text COLLATE "C" NOT NULL,
    job_id      text COLLATE "C" NOT NULL,
    sort_key    text COLLATE "C" NOT NULL,
    status      text NOT NULL,
    open        boolean NOT NULL,
    host        text,
    search_text text NOT NULL,
    summary     jsonb NOT NULL,
    PRIMARY KEY (batch_id, job_id)
) WITH (fillfactor = 80);

CREATE INDEX jobs_in_order ON jobs (batch_id, sort_key, job_id);
CREATE INDEX jobs_open ON jobs (batch_id) WHERE open;
CREATE INDEX jobs_running ON jobs (host) WHERE status = 'running';

-- What the fold must remember of a job to take the next event, in whatever order events come. json: it comes back whole.
CREATE TABLE job_states (
    batch_id text COLLATE "C" NOT NULL,
    job_id   text COLLATE "C" NOT NULL,
    state    json NOT NULL,
    PRIMARY KEY (batch_id, job_id)
);

-- The same of the batch around the jobs, and how many of its jobs have each status.
CREATE TABLE job_batches (
    batch_id  text COLLATE "C" PRIMARY KEY,
    state     json NOT NULL,
    queued    bigint NOT NULL,
    running   bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed    bigint NOT NULL,
    aborted   bigint NOT NULL,
    cached    bigint NOT NULL
) WITH (fillfactor = 80);
