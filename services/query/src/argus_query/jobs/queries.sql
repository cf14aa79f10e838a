-- name: load_batches
SELECT batch_id, state, queued, running, succeeded, failed, aborted, cached FROM job_batches WHERE batch_id = ANY (%b);

-- name: load_jobs
-- What is remembered of these jobs (two arrays of the same length: the batch and the job of each).
SELECT s.batch_id, s.job_id, s.state, j.status
  FROM unnest(%b::text[], %b::text[]) AS wanted(batch_id, job_id)
  JOIN job_states s USING (batch_id, job_id)
  JOIN jobs j USING (batch_id, job_id);

-- name: load_open_jobs
-- Jobs of these batches that have no end of their own, a piece at a time in the order of batch_id and job_id.
SELECT s.batch_id, s.job_id, s.state, j.status
  FROM jobs j JOIN job_states s USING (batch_id, job_id)
 WHERE j.batch_id = ANY (%s) AND j.open AND (j.batch_id, j.job_id) > (%s::text COLLATE "C", %s::text COLLATE "C")
 ORDER BY j.batch_id, j.job_id
 LIMIT %s;

-- name: upsert_jobs
INSERT INTO jobs
SELECT batch_id, job_id, sort_key, status, open, host, search_text, summary::jsonb
  FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::text[], %b::text[], %b::text[])
    AS n(batch_id, job_id, sort_key, status, open, host, search_text, summary)
ON CONFLICT (batch_id, job_id) DO UPDATE SET
    sort_key = excluded.sort_key, status = excluded.status, open = excluded.open, host = excluded.host,
    search_text = excluded.search_text, summary = excluded.summary;

-- name: upsert_states
INSERT INTO job_states
SELECT batch_id, job_id, state::json FROM unnest(%b::text[], %b::text[], %b::text[]) AS n(batch_id, job_id, state)
ON CONFLICT (batch_id, job_id) DO UPDATE SET state = excluded.state;

-- name: upsert_batches
INSERT INTO job_batches (batch_id, state, queued, running, succeeded, failed, aborted, cached)
SELECT batch_id, state::json, queued, running, succeeded, failed, aborted, cached
  FROM unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::int8[])
    AS n(batch_id, state, queued, running, succeeded, failed, aborted, cached)
ON CONFLICT (batch_id) DO UPDATE SET
    state = excluded.state, queued = excluded.queued, running = excluded.running, succeeded = excluded.succeeded,
    failed = excluded.failed, aborted = excluded.aborted, cached = excluded.cached;

-- name: delete_jobs
DELETE FROM jobs WHERE batch_id = ANY (%s);

-- name: delete_states
DELETE FROM job_states WHERE batch_id = ANY (%s);

-- name: delete_batches
DELETE FROM job_batches WHERE batch_id = ANY (%s);

-- name: list_jobs
-- One page in natural order.
SELECT job_id, sort_key, (summary || jsonb_build_object(
           'batch_id', batch_id, 'job_id', job_id, 'status', status, 'host', coalesce(host, %(host)s)))::text
  FROM jobs
 WHERE batch_id = %(batch_id)s
   AND (%(status)s::text[] IS NULL OR status = ANY (%(status)s))
   AND (%(pattern)s::text IS NULL OR search_text LIKE %(pattern)s)
   AND (%(sort_key)s::text IS NULL OR (sort_key, job_id) > (%(sort_key)s::text COLLATE "C", %(job_id)s::text COLLATE "C"))
 ORDER BY sort_key, job_id
 LIMIT %(limit)s;

-- name: list_tiles
-- One page in natural order, of each job only what a matrix shows.
SELECT job_id, nullif(summary ->> 'name', job_id), status, (summary ->> 'progress')::float8,
       (summary ->> 'n_epochs_expected')::int8, (summary ->> 'n_steps_expected')::int8, summary ->> 'loss',
       summary ->> 'model', summary ->> 'dataset', summary ->> 'loss_key', left(summary ->> 'reason', 200), sort_key
  FROM jobs
 WHERE batch_id = %(batch_id)s
   AND (%(sort_key)s::text IS NULL OR (sort_key, job_id) > (%(sort_key)s::text COLLATE "C", %(job_id)s::text COLLATE "C"))
 ORDER BY sort_key, job_id
 LIMIT %(limit)s;

-- name: count_jobs
SELECT count(*)
  FROM jobs
 WHERE batch_id = %(batch_id)s
   AND (%(status)s::text[] IS NULL OR status = ANY (%(status)s))
   AND (%(pattern)s::text IS NULL OR search_text LIKE %(pattern)s);

-- name: get_batch
SELECT state, queued + running + succeeded + failed + aborted + cached AS total FROM job_batches WHERE batch_id = %s;

-- name: get_job
SELECT j.job_id, j.status, j.host, j.summary, s.state
  FROM jobs j JOIN job_states s USING (batch_id, job_id)
 WHERE batch_id = %s AND job_id = %s;

-- name: seen_job
-- The job, where the viewer may see its run.
SELECT 1
  FROM jobs JOIN runs r USING (batch_id)
 WHERE batch_id = %(batch_id)s AND job_id = %(job_id)s AND (%(all)s OR r.workspace = ANY (%(workspaces)s));
