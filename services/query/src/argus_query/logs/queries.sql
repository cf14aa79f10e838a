-- name: copy_chunks
COPY log_chunks (batch_id, job_id, first_attempt, first_order, last_attempt, last_order, first_time_us, last_time_us,
    n, n_bytes, settled, lines) FROM STDIN (FORMAT BINARY)

-- name: insert_chunks
-- As the one above, but in a pipeline.
INSERT INTO log_chunks (batch_id, job_id, first_attempt, first_order, last_attempt, last_order, first_time_us, last_time_us,
    n, n_bytes, settled, lines)
SELECT * FROM unnest(%b::text[], %b::text[], %b::int4[], %b::int8[], %b::int4[], %b::int8[], %b::int8[], %b::int8[],
    %b::int4[], %b::int4[], %b::bool[], %b::bytea[])

-- name: upsert_counts
INSERT INTO log_counts AS c (batch_id, job_id, n_lines)
SELECT * FROM unnest(%s::text[], %s::text[], %s::int8[])
ON CONFLICT (batch_id, job_id) DO UPDATE SET n_lines = c.n_lines + excluded.n_lines

-- name: count_lines
SELECT coalesce(sum(n_lines), 0)::int8 FROM log_counts
WHERE batch_id = %(batch_id)s AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s)

-- name: delete_chunks_of_run
DELETE FROM log_chunks WHERE batch_id = %s

-- name: delete_counts_of_run
DELETE FROM log_counts WHERE batch_id = %s

-- name: select_chunks_of_job_backwards
-- Chunks that may hold lines up to the given one, those that reach furthest first.
SELECT job_id, last_attempt, last_order, last_time_us, lines FROM log_chunks
WHERE batch_id = %(batch_id)s AND job_id = %(job_id)s
    AND (first_attempt, first_order) <= (%(attempt)s, %(order)s)
ORDER BY last_attempt DESC, last_order DESC

-- name: select_chunks_of_job_forwards
SELECT job_id, first_attempt, first_order, first_time_us, lines FROM log_chunks
WHERE batch_id = %(batch_id)s AND job_id = %(job_id)s
    AND (last_attempt, last_order) >= (%(attempt)s, %(order)s)
ORDER BY first_attempt, first_order

-- name: select_chunks_of_run_backwards
SELECT job_id, last_attempt, last_order, last_time_us, lines FROM log_chunks
WHERE batch_id = %(batch_id)s AND first_time_us <= %(time_us)s
ORDER BY last_time_us DESC

-- name: select_chunks_of_run_forwards
SELECT job_id, first_attempt, first_order, first_time_us, lines FROM log_chunks
WHERE batch_id = %(batch_id)s AND last_time_us >= %(time_us)s
ORDER BY first_time_us

-- name: select_loose
SELECT batch_id, job_id, count(*)::int8, sum(n_bytes)::int8 FROM log_chunks WHERE NOT settled GROUP BY batch_id, job_id

-- name: settle
UPDATE log_chunks SET settled = true WHERE batch_id = %s AND job_id = %s AND NOT settled

-- name: select_outlines
SELECT first_attempt, first_order, last_attempt, last_order, n, n_bytes, ctid::text FROM log_chunks
WHERE batch_id = %s AND job_id = %s AND n < %s AND n_bytes < %s
ORDER BY first_attempt, first_order, last_attempt, last_order, n

-- name: take_chunks
-- The places hold within the transaction that has read them: there is one writer.
DELETE FROM log_chunks WHERE ctid = ANY (%s::text[]::tid[]) RETURNING lines

-- name: settle_lonely
WITH lonely AS (
    SELECT c.batch_id, c.job_id FROM log_chunks AS c
    JOIN unnest(%s::text[], %s::text[]) AS k (batch_id, job_id) ON c.batch_id = k.batch_id AND c.job_id = k.job_id
    WHERE c.n < %s AND c.n_bytes < %s
    GROUP BY c.batch_id, c.job_id HAVING count(*) = 1
)
UPDATE log_chunks AS c SET settled = true FROM lonely
WHERE c.batch_id = lonely.batch_id AND c.job_id = lonely.job_id AND NOT c.settled
RETURNING c.batch_id, c.job_id
