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

-- What the dashboard shows: a row per run that has ended. A search or a rare filter reads all rows of a user, so those of a user
-- lie together, and what is filtered and summed by stands first in a row. Few indexes, because a flood of tiny runs pays for each:
-- what is in order by size is sorted when it is asked for.
CREATE TABLE dashboard_runs (
    sort_at       timestamptz NOT NULL,
    bytes         bigint,
    objects       bigint,
    cost_micros   bigint,
    wasted_micros bigint,
    is_unmeasured boolean NOT NULL,
    status        text NOT NULL,
    user_name     text COLLATE "C" NOT NULL,
    workspace     text COLLATE "C" NOT NULL,
    cluster       text COLLATE "C" NOT NULL,
    search_text   text COLLATE "C" NOT NULL,
    labels        text[] NOT NULL,
    name_key      text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    batch_id      text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_name, batch_id)
) PARTITION BY HASH (user_name);

-- Without the user, because in most partitions most rows are of one, and an admin asks for all.
CREATE INDEX dashboard_runs_by_time ON dashboard_runs (sort_at, batch_id);
CREATE INDEX dashboard_runs_by_name ON dashboard_runs (name_key, batch_id);

DO $$ BEGIN
    FOR n IN 0..31 LOOP
        EXECUTE format('CREATE TABLE dashboard_runs_%s PARTITION OF dashboard_runs FOR VALUES WITH (MODULUS 32, REMAINDER %s)', n, n);
    END LOOP;
END $$;

-- Sums over these rows by day (UTC, of the run's start), so that sections without a search read few. user_name '': all users.
-- size_class: how many of the size limits the outputs exceed; -1: not known. Whole numbers, so that what is added can be taken away.
CREATE TABLE dashboard_days (
    workspace      text COLLATE "C" NOT NULL,
    cluster        text COLLATE "C" NOT NULL,
    user_name      text COLLATE "C" NOT NULL,
    day            date NOT NULL,
    status         text COLLATE "C" NOT NULL,
    size_class     smallint NOT NULL,
    n_runs         bigint NOT NULL,
    cost_micros    numeric NOT NULL,
    wasted_micros  numeric NOT NULL,
    bytes          numeric NOT NULL,
    objects        numeric NOT NULL,
    n_without_cost bigint NOT NULL,
    n_unmeasured   bigint NOT NULL,
    PRIMARY KEY (user_name, day, workspace, cluster, status, size_class)
);

-- What the dashboard's dropdowns offer, with the number of ended runs. label '': any.
CREATE TABLE dashboard_choices (
    workspace text COLLATE "C" NOT NULL,
    cluster   text COLLATE "C" NOT NULL,
    user_name text COLLATE "C" NOT NULL,
    label     text COLLATE "C" NOT NULL,
    n_runs    bigint NOT NULL,
    PRIMARY KEY (user_name, label, workspace, cluster)
);

CREATE INDEX dashboard_choices_of_any_label ON dashboard_choices (workspace, cluster, user_name) WHERE label = '';

-- Where runs have their files, of those that say so in the form s3://bucket/…, however strange; also where they had them once.
CREATE TABLE run_folders (
    batch_id    text COLLATE "C" NOT NULL,
    workspace   text NOT NULL,
    folder      text COLLATE "C" NOT NULL,
    is_work_dir boolean NOT NULL,
    PRIMARY KEY (batch_id, folder, is_work_dir)
);

CREATE INDEX run_folders_by_folder ON run_folders (folder, batch_id, is_work_dir);

-- Runs that have ended, and whose outputs nobody has listed since.
CREATE TABLE run_unmeasured (
    batch_id           text COLLATE "C" PRIMARY KEY,
    workspace          text NOT NULL,
    since              timestamptz NOT NULL,
    lifecycle_position bigint NOT NULL
);

CREATE INDEX run_unmeasured_since ON run_unmeasured (since, batch_id);
