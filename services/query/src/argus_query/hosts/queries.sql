-- name: load_sources
-- All sources of these batches.
SELECT batch_id, job_id, workspace, (extract(epoch FROM last_seen_at) * 1000000)::bigint, state
  FROM host_sources
 WHERE batch_id = ANY (%b);

-- name: upsert_sources
INSERT INTO host_sources
SELECT batch_id, job_id, workspace, host, last_seen_at, state::jsonb
  FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::text[])
    AS n(batch_id, job_id, workspace, host, last_seen_at, state)
ON CONFLICT (batch_id, job_id) DO UPDATE SET
    workspace = excluded.workspace, host = excluded.host, last_seen_at = excluded.last_seen_at,
    state = excluded.state;

-- name: delete_sources
DELETE FROM host_sources WHERE batch_id = ANY (%s);

-- name: list_hosts
-- The hosts of the visible workspaces by hops through the index, then the newest rows of each.
WITH RECURSIVE hosts AS (
    SELECT w.workspace, (SELECT min(s.host) FROM host_sources s WHERE s.workspace = w.workspace) AS host
      FROM unnest(%(workspaces)s::text[]) AS w(workspace)
    UNION ALL
    SELECT h.workspace,
           (SELECT min(s.host) FROM host_sources s WHERE s.workspace = h.workspace AND s.host > h.host)
      FROM hosts h
     WHERE h.host IS NOT NULL)
SELECT h.workspace, h.host, newest.last_seen_at, newest.state, running.n
  FROM hosts h
 CROSS JOIN LATERAL (
    SELECT max(s.last_seen_at) AS last_seen_at, jsonb_agg(s.state) AS state
      FROM (SELECT last_seen_at, state FROM host_sources s
             WHERE s.workspace = h.workspace AND s.host = h.host
             ORDER BY last_seen_at DESC LIMIT 20) AS s) AS newest
 CROSS JOIN LATERAL (
    SELECT count(DISTINCT (j.batch_id, j.job_id)) AS n  -- a job that reports its machine, but not where it is, has both
      FROM host_sources s JOIN jobs j ON j.batch_id = s.batch_id AND j.status = 'running'
           AND (j.job_id = s.job_id OR (s.job_id = '' AND j.host IS NULL))
     WHERE s.workspace = h.workspace AND s.host = h.host
       AND s.last_seen_at > now() - interval '1 day') AS running
 WHERE h.host IS NOT NULL
 ORDER BY newest.last_seen_at DESC, h.workspace, h.host
 LIMIT 500;
