-- name: load_states
-- What is remembered of these runs, with the three times as microseconds since 1970.
SELECT s.batch_id, s.state,
       coalesce((extract(epoch FROM r.last_occurred_at) * 1000000)::bigint, 0),
       coalesce((extract(epoch FROM r.last_seen_at) * 1000000)::bigint, 0),
       coalesce((extract(epoch FROM r.last_progress_at) * 1000000)::bigint, 0)
  FROM run_states s JOIN runs r USING (batch_id)
 WHERE s.batch_id = ANY (%b);

-- name: upsert_runs
-- The rows of runs whose facts changed, as columns; labels as texts of arrays.
INSERT INTO runs
SELECT batch_id, workspace, user_name, type, project, labels::text[], status, sort_at, heartbeat_interval_s, last_seen_at,
       last_progress_at, last_occurred_at, search_text
  FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[],
              %b::float8[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::text[])
    AS n(batch_id, workspace, user_name, type, project, labels, status, sort_at, heartbeat_interval_s, last_seen_at,
         last_progress_at, last_occurred_at, search_text)
ON CONFLICT (batch_id) DO UPDATE SET
    workspace = excluded.workspace, user_name = excluded.user_name, type = excluded.type, project = excluded.project,
    labels = excluded.labels, status = excluded.status, sort_at = excluded.sort_at,
    heartbeat_interval_s = excluded.heartbeat_interval_s, last_seen_at = excluded.last_seen_at,
    last_progress_at = excluded.last_progress_at, last_occurred_at = excluded.last_occurred_at,
    search_text = excluded.search_text;

-- name: upsert_states
INSERT INTO run_states
SELECT batch_id, state::json, summary::json
  FROM unnest(%b::text[], %b::text[], %b::text[]) AS n(batch_id, state, summary)
ON CONFLICT (batch_id) DO UPDATE SET state = excluded.state, summary = excluded.summary;

-- name: upsert_words
-- Words as texts of arrays.
INSERT INTO run_words
SELECT batch_id, sort_at, array_to_tsvector(words::text[])
  FROM unnest(%b::text[], %b::timestamptz[], %b::text[]) AS n(batch_id, sort_at, words)
ON CONFLICT (batch_id) DO UPDATE SET sort_at = excluded.sort_at, words = excluded.words;

-- name: touch_runs
-- Runs of which only the times moved.
UPDATE runs r
   SET last_seen_at = n.last_seen_at, last_progress_at = n.last_progress_at, last_occurred_at = n.last_occurred_at
  FROM unnest(%b::text[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[])
    AS n(batch_id, last_seen_at, last_progress_at, last_occurred_at)
 WHERE r.batch_id = n.batch_id;

-- name: add_facets
INSERT INTO run_facets
SELECT * FROM jsonb_to_recordset(%s) AS n(workspace text, kind text, value text, n_runs bigint)
ON CONFLICT (workspace, kind, value) DO UPDATE SET n_runs = run_facets.n_runs + excluded.n_runs;

-- name: drop_empty_facets
DELETE FROM run_facets WHERE n_runs <= 0;

-- name: delete_runs
DELETE FROM runs WHERE batch_id = ANY (%s);

-- name: delete_words
DELETE FROM run_words WHERE batch_id = ANY (%s);

-- name: delete_states
DELETE FROM run_states WHERE batch_id = ANY (%s);

-- name: list_runs
-- These runs, the newest first.
SELECT r.batch_id, r.workspace, r.user_name, r.type, r.project, r.labels, r.status, r.sort_at, r.heartbeat_interval_s,
       r.last_seen_at, r.last_progress_at, r.last_occurred_at, s.summary, to_jsonb(c) - 'batch_id' AS jobs
  FROM runs r JOIN run_states s USING (batch_id)
  LEFT JOIN (SELECT batch_id, queued, running, succeeded, failed, aborted, cached FROM job_batches) AS c USING (batch_id)
 WHERE r.batch_id = ANY (%s)
 ORDER BY r.sort_at DESC, r.batch_id DESC;

-- name: all_workspaces
-- Every workspace that has a run.
SELECT value FROM run_facets WHERE kind = 'workspace' ORDER BY value;

-- name: get_run
SELECT r.batch_id, r.workspace, r.user_name, r.type, r.project, r.labels, r.status, r.sort_at,
       r.heartbeat_interval_s, r.last_seen_at, r.last_progress_at, r.last_occurred_at, s.summary,
       to_jsonb(c) - 'batch_id' AS jobs, s.state
  FROM runs r JOIN run_states s USING (batch_id)
  LEFT JOIN (SELECT batch_id, queued, running, succeeded, failed, aborted, cached FROM job_batches) AS c USING (batch_id)
 WHERE r.batch_id = %(batch_id)s AND (%(all)s OR r.workspace = ANY (%(workspaces)s));

-- name: visible_runs
-- Which of these runs the viewer may see.
SELECT batch_id FROM runs
 WHERE batch_id = ANY (%(batch_ids)s) AND (%(all)s OR workspace = ANY (%(workspaces)s));

-- name: list_facets
SELECT kind, value
  FROM run_facets
 WHERE %(all)s OR workspace = ANY (%(workspaces)s)
 GROUP BY kind, value
 ORDER BY kind, sum(n_runs) DESC, value;

-- name: select_gaps
-- Numbers that a producer of this run gave out and that the log has not received.
SELECT producer_id, class, lower(hole) AS first_seq, upper(hole) - 1 AS last_seq
  FROM log.producers,
       unnest(int8multirange(int8range(0, upper(received))) - received) AS hole
 WHERE batch_id = %(batch_id)s AND workspace = %(workspace)s AND NOT isempty(received)
 ORDER BY producer_id, class, first_seq
 LIMIT 1000;
