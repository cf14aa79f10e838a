-- A row per batch (job_id '') and per job that told where it runs or what its machine does (a batch also of when its
-- other jobs began). A host is what its newest rows say, so nothing depends on the order in which facts arrive.
CREATE TABLE host_sources (
    batch_id     text COLLATE "C" NOT NULL,
    job_id       text COLLATE "C" NOT NULL,
    workspace    text NOT NULL,
    host         text COLLATE "C",
    last_seen_at timestamptz NOT NULL,
    state        jsonb NOT NULL,
    PRIMARY KEY (batch_id, job_id)
) WITH (fillfactor = 80);

CREATE INDEX host_sources_by_host ON host_sources (workspace, host, last_seen_at DESC) WHERE host IS NOT NULL;
