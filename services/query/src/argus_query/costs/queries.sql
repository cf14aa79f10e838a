-- name: earlier_records
-- What the log has of these runs' lifecycle before these positions.
SELECT r.class, r.day, r.first_position, r.last_position, r.received_at, r.workspace, r.user_name, r.batch_id, r.producer_id,
       r.payload
  FROM unnest(%b::text[], %b::bigint[]) AS n(batch_id, before)
  JOIN log.record_batches r ON r.batch_id = n.batch_id AND r.class = 'lifecycle' AND r.first_position < n.before
 ORDER BY r.first_position;

-- name: load_usages
-- Those of these jobs; of these runs themselves; and of runs that say something of themselves all that depends on it. Some come twice.
SELECT u.batch_id, u.job_id, u.attempt, u.workspace, u.state
  FROM cost_usages u
 WHERE u.batch_id = ANY (%(batch_ids)b) AND u.job_id = ''
UNION ALL
SELECT u.batch_id, u.job_id, u.attempt, u.workspace, u.state
  FROM unnest(%(jobs_batch_ids)b::text[], %(job_ids)b::text[]) AS n(batch_id, job_id)
  JOIN cost_usages u ON u.batch_id = n.batch_id AND u.job_id = n.job_id
UNION ALL
SELECT u.batch_id, u.job_id, u.attempt, u.workspace, u.state
  FROM cost_usages u
 WHERE u.batch_id = ANY (%(speaking)b) AND u.depends AND u.job_id <> '';

-- name: load_tries
-- Of these attempts.
SELECT t.batch_id, t.job_id, t.attempt, t.number, t.workspace, t.host, t.instance_type, t.capacity, t.milli_cpus,
       (extract(epoch FROM t.started_at) * 1000000)::bigint, (extract(epoch FROM t.ended_at) * 1000000)::bigint, t.outcome
  FROM unnest(%b::text[], %b::text[], %b::int[]) AS n(batch_id, job_id, attempt)
  JOIN cost_tries t ON t.batch_id = n.batch_id AND t.job_id = n.job_id AND t.attempt = n.attempt;

-- name: tries_of_batches
-- All that are over.
SELECT t.batch_id, t.job_id, t.attempt, t.number, t.workspace, t.host, t.instance_type, t.capacity, t.milli_cpus,
       (extract(epoch FROM t.started_at) * 1000000)::bigint, (extract(epoch FROM t.ended_at) * 1000000)::bigint, t.outcome
  FROM cost_tries t
 WHERE t.batch_id = ANY (%b) AND t.ended_at IS NOT NULL;

-- name: overlapping_tries
-- Those on these hosts that are over and ran in these stretches of time.
SELECT DISTINCT t.batch_id, t.job_id, t.attempt, t.number, t.workspace, t.host, t.instance_type, t.capacity, t.milli_cpus,
       (extract(epoch FROM t.started_at) * 1000000)::bigint, (extract(epoch FROM t.ended_at) * 1000000)::bigint, t.outcome
  FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[]) AS n(workspace, host, first, last)
  JOIN cost_tries t ON t.workspace = n.workspace AND t.host = n.host AND t.ended_at > n.first AND t.started_at < n.last;

-- name: tries_of_types
-- Those on machines of these types that were not over yet at these moments, in the order of their names, behind one of them.
SELECT t.batch_id, t.job_id, t.attempt, t.number, t.workspace, t.host, t.instance_type, t.capacity, t.milli_cpus,
       (extract(epoch FROM t.started_at) * 1000000)::bigint, (extract(epoch FROM t.ended_at) * 1000000)::bigint, t.outcome
  FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[]) AS n(workspace, instance_type, first, last)
  JOIN cost_tries t ON t.workspace = n.workspace AND t.instance_type = n.instance_type AND t.ended_at >= n.first
       AND (n.last IS NULL OR t.started_at <= n.last)
 WHERE (t.batch_id, t.job_id, t.attempt, t.number) > (%b, %b, %b::int, %b::int)
 ORDER BY t.batch_id, t.job_id, t.attempt, t.number
 LIMIT %b;

-- name: upsert_usages
INSERT INTO cost_usages
SELECT batch_id, job_id, attempt, workspace, depends, state::json
  FROM unnest(%b::text[], %b::text[], %b::int[], %b::text[], %b::bool[], %b::text[])
    AS n(batch_id, job_id, attempt, workspace, depends, state)
ON CONFLICT (batch_id, job_id, attempt) DO UPDATE SET depends = excluded.depends, state = excluded.state;

-- name: delete_tries
DELETE FROM cost_tries t
 USING unnest(%b::text[], %b::text[], %b::int[]) AS n(batch_id, job_id, attempt)
 WHERE t.batch_id = n.batch_id AND t.job_id = n.job_id AND t.attempt = n.attempt;

-- name: insert_tries
INSERT INTO cost_tries (batch_id, job_id, attempt, number, workspace, host, instance_type, capacity, milli_cpus, started_at,
                        ended_at, outcome)
SELECT * FROM unnest(%b::text[], %b::text[], %b::int[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[],
                     %b::timestamptz[], %b::timestamptz[], %b::text[]);

-- name: update_amounts
UPDATE cost_tries t
   SET share_us = n.share_us, nano_usd = n.nano_usd, spot_nano_usd = n.spot_nano_usd, partly = n.partly
  FROM unnest(%b::text[], %b::text[], %b::int[], %b::int[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bool[])
    AS n(batch_id, job_id, attempt, number, share_us, nano_usd, spot_nano_usd, partly)
 WHERE t.batch_id = n.batch_id AND t.job_id = n.job_id AND t.attempt = n.attempt AND t.number = n.number
   AND (t.share_us, t.nano_usd, t.spot_nano_usd, t.partly) IS DISTINCT FROM (n.share_us, n.nano_usd, n.spot_nano_usd, n.partly)
RETURNING t.batch_id;

-- name: insert_records
INSERT INTO cost_records
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::int[], %b::timestamptz[], %b::timestamptz[], %b::bigint[],
                     %b::bigint[], %b::text[])
ON CONFLICT DO NOTHING;

-- name: insert_prices
INSERT INTO cost_prices
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::text[], %b::timestamptz[],
                     %b::bigint[], %b::bigint[], %b::text[])
ON CONFLICT DO NOTHING;

-- name: prices_of_types
SELECT p.workspace, p.instance_type, p.capacity, (extract(epoch FROM p.effective_from) * 1000000)::bigint,
       (extract(epoch FROM p.recorded_at) * 1000000)::bigint, p.event_id,
       (extract(epoch FROM p.received_at) * 1000000)::bigint, p.position, p.nano_usd_per_hour, p.recorded_by
  FROM unnest(%b::text[], %b::text[]) AS n(workspace, instance_type)
  JOIN cost_prices p USING (workspace, instance_type);

-- name: used_by_batches
-- What these runs have used: where they have no bills, that is what they cost.
SELECT t.batch_id, sum(t.nano_usd)::text, sum(t.nano_usd) FILTER (WHERE t.outcome IN ('failed', 'aborted'))::text
  FROM cost_tries t
 WHERE t.batch_id = ANY (%b)
 GROUP BY t.batch_id;

-- name: parts_of_batches
SELECT t.batch_id, t.job_id, t.attempt, sum(t.nano_usd)::text,
       coalesce(sum(t.nano_usd) FILTER (WHERE t.outcome IN ('failed', 'aborted')), 0)::text,
       coalesce((array_agg(t.outcome ORDER BY t.number DESC))[1] IN ('failed', 'aborted'), false)
  FROM cost_tries t
 WHERE t.batch_id = ANY (%b)
 GROUP BY t.batch_id, t.job_id, t.attempt;

-- name: records_of_batches
SELECT batch_id, event_id, job_id, attempt, (extract(epoch FROM recorded_at) * 1000000)::bigint,
       (extract(epoch FROM received_at) * 1000000)::bigint, position, nano_usd, basis
  FROM cost_records
 WHERE batch_id = ANY (%b)
 ORDER BY position;

-- name: batch_usages
SELECT batch_id, attempt, workspace, state FROM cost_usages WHERE batch_id = ANY (%b) AND job_id = '';

-- name: usages_of_batch
SELECT batch_id, job_id, attempt, workspace, state FROM cost_usages WHERE batch_id = %b LIMIT %b;

-- name: usages_of
-- Of these attempts, and of their runs themselves. Some come twice.
SELECT u.batch_id, u.job_id, u.attempt, u.workspace, u.state
  FROM unnest(%(batch_ids)b::text[], %(job_ids)b::text[], %(attempts)b::int[]) AS n(batch_id, job_id, attempt)
  JOIN cost_usages u USING (batch_id, job_id, attempt)
UNION ALL
SELECT u.batch_id, u.job_id, u.attempt, u.workspace, u.state
  FROM cost_usages u
 WHERE u.batch_id = ANY (%(batch_ids)b) AND u.job_id = '';

-- name: count_tries
-- The second: those without a (whole) price for which there is no bill either, of them, of their job or (job '') of the run.
SELECT count(*), count(*) FILTER (WHERE ended_at IS NOT NULL AND (nano_usd IS NULL OR partly) AND NOT EXISTS (
           SELECT FROM unnest(%b::text[], %b::int[]) AS bill(job_id, attempt)
            WHERE bill.job_id IN ('', t.job_id) AND coalesce(bill.attempt, t.attempt) = t.attempt)),
       count(*) FILTER (WHERE ended_at IS NULL),
       CASE WHEN bool_and(spot_nano_usd IS NOT NULL) FILTER (WHERE ended_at IS NOT NULL) THEN sum(spot_nano_usd)::text END
  FROM cost_tries t
 WHERE batch_id = %b;

-- name: first_tries
SELECT t.batch_id, t.job_id, t.attempt, t.number, t.workspace, t.host, t.instance_type, t.capacity, t.milli_cpus,
       (extract(epoch FROM t.started_at) * 1000000)::bigint, (extract(epoch FROM t.ended_at) * 1000000)::bigint, t.outcome,
       t.share_us, t.nano_usd, t.spot_nano_usd, t.partly
  FROM cost_tries t
 WHERE t.batch_id = %b
 ORDER BY t.started_at, t.job_id, t.attempt, t.number
 LIMIT %b;

-- name: list_prices
-- Behind a row, if any.
SELECT p.event_id, p.workspace, p.instance_type, p.capacity, p.nano_usd_per_hour, p.effective_from, p.recorded_at, p.recorded_by,
       p.received_at, p.position,
       NOT EXISTS (SELECT FROM cost_prices q
                    WHERE (q.workspace, q.instance_type, q.capacity, q.effective_from)
                        = (p.workspace, p.instance_type, p.capacity, p.effective_from)
                      AND (q.recorded_at, q.event_id) > (p.recorded_at, p.event_id)) AS counts
  FROM cost_prices p
 WHERE (%(all)s OR p.workspace = ANY (%(workspaces)s))
   AND (%(workspace)s::text IS NULL OR p.workspace = %(workspace)s)
   AND (%(behind)s::text IS NULL
        OR (p.workspace, p.instance_type, p.capacity, %(latest)s::timestamptz - p.effective_from, p.event_id)
         > (%(behind)s::text, %(type)s::text, %(capacity)s::text, %(latest)s::timestamptz - %(moment)s::timestamptz, %(event_id)s::text))
 ORDER BY p.workspace, p.instance_type, p.capacity, p.effective_from DESC, p.event_id
 LIMIT %(limit)s;

-- name: delete_usages
DELETE FROM cost_usages WHERE batch_id = ANY (%b);

-- name: delete_tries_of_batches
DELETE FROM cost_tries WHERE batch_id = ANY (%b);

-- name: delete_records
DELETE FROM cost_records WHERE batch_id = ANY (%b);
