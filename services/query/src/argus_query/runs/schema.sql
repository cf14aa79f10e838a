-- A row per run: what lists filter and sort by, and no more: a search looks at ten thousand of them. What the clock decides (disconnected, stalled) is derived when read.
-- last_seen_at and last_progress_at are by Argus' clock, last_occurred_at is by the sender's; null: nothing came yet.
CREATE TABLE runs (
    batch_id             text COLLATE "C" PRIMARY KEY,
    workspace            text NOT NULL,
    user_name            text NOT NULL,
    type                 text NOT NULL,
    project              text,
    labels               text[] NOT NULL,
    status               text NOT NULL,
    sort_at              timestamptz NOT NULL,
    heartbeat_interval_s double precision NOT NULL,
    last_seen_at         timestamptz,
    last_progress_at     timestamptz,
    last_occurred_at     timestamptz,
    search_text          text NOT NULL
) WITH (fillfactor = 80);

-- Two of each: for who sees some workspaces, and for who sees all.
CREATE INDEX runs_by_time ON runs (sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_workspace ON runs (workspace, sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_status ON runs (status, sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_status_there ON runs (workspace, status, sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_user ON runs (user_name, sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_user_there ON runs (workspace, user_name, sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_project ON runs (project, sort_at DESC, batch_id DESC);
CREATE INDEX runs_by_project_there ON runs (workspace, project, sort_at DESC, batch_id DESC);
-- Both are asked for together often, and where few runs have both, the range of either is long.
CREATE INDEX runs_by_project_and_status_there ON runs (workspace, project, status, sort_at DESC, batch_id DESC);

-- The words by which a run is found (words.py). Apart from the row, which changes often: this does not.
CREATE TABLE run_words (
    batch_id text COLLATE "C" PRIMARY KEY,
    sort_at  timestamptz NOT NULL,
    words    tsvector NOT NULL
);

CREATE INDEX run_words_by_word ON run_words USING gin (words);

-- What the fold must remember of a run to take the next event, in whatever order events come; and what is shown of it.
-- json, not jsonb: both come back whole or not at all, and nothing is taken apart to be written.
CREATE TABLE run_states (
    batch_id text COLLATE "C" PRIMARY KEY,
    state    json NOT NULL,
    summary  json NOT NULL
);

-- What the filter row offers, with the number of runs that have it.
CREATE TABLE run_facets (
    workspace text NOT NULL,
    kind      text NOT NULL,
    value     text NOT NULL,
    n_runs    bigint NOT NULL,
    PRIMARY KEY (workspace, kind, value)
);
