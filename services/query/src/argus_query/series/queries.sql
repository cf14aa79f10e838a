-- name: copy_blocks
COPY series_blocks (series_id, attempt, first_step, last_step, first_time_us, last_time_us, n, settled, points,
    tier_width, tier_rows, tier_sums, coarse_width, coarse_rows, coarse_sums, not_finite) FROM STDIN (FORMAT BINARY)

-- name: insert_blocks
-- As the one above, but in a pipeline.
INSERT INTO series_blocks (series_id, attempt, first_step, last_step, first_time_us, last_time_us, n, settled, points,
    tier_width, tier_rows, tier_sums, coarse_width, coarse_rows, coarse_sums, not_finite)
SELECT * FROM unnest(%b::uuid[], %b::int4[], %b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::int4[], %b::bool[],
    %b::bytea[], %b::int8[], %b::bytea[], %b::bytea[], %b::int8[], %b::bytea[], %b::bytea[], %b::bytea[])

-- name: upsert_series
-- Commutes: counts add up, bounds widen, the last point is the largest by its order.
INSERT INTO series AS s (batch_id, job_id, family, key, series_id, n_points, min_value, max_value,
    last_attempt, last_step, last_time_us, last_tie, last_value)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::uuid[], %b::int8[], %b::float8[], %b::float8[],
    %b::int4[], %b::int8[], %b::int8[], %b::int8[], %b::float8[])
ON CONFLICT (batch_id, job_id, family, key) DO UPDATE SET
    n_points = s.n_points + excluded.n_points,
    min_value = least(s.min_value, excluded.min_value),
    max_value = greatest(s.max_value, excluded.max_value),
    (last_attempt, last_step, last_time_us, last_tie, last_value) = (
        SELECT t.* FROM (VALUES
            (s.last_attempt, s.last_step, s.last_time_us, s.last_tie, s.last_value),
            (excluded.last_attempt, excluded.last_step, excluded.last_time_us, excluded.last_tie, excluded.last_value)
        ) AS t (attempt, step, time_us, tie, value)
        ORDER BY t.attempt DESC, t.step DESC, t.time_us DESC, t.tie DESC, t.value DESC LIMIT 1)

-- name: delete_blocks_of_run
DELETE FROM series_blocks WHERE series_id IN (SELECT series_id FROM series WHERE batch_id = %s)

-- name: delete_series_of_run
DELETE FROM series WHERE batch_id = %s

-- name: select_series_of_job
SELECT key, family, series_id, n_points, min_value, max_value, last_step, last_value FROM series
WHERE batch_id = %s AND job_id = %s ORDER BY family, key

-- name: select_blocks
-- Every block that may hold points of the range: the widest of its two tiers that is no wider than asked, where the block
-- lies inside, otherwise its points. Where the blocks inside have few enough points to show each, these come at once.
SELECT series_id, attempt, n,
    CASE WHEN tier IS NULL THEN points END,
    CASE tier WHEN 'coarse' THEN coarse_width WHEN 'fine' THEN tier_width END,
    CASE tier WHEN 'coarse' THEN coarse_rows WHEN 'fine' THEN tier_rows END,
    CASE tier WHEN 'coarse' THEN coarse_sums WHEN 'fine' THEN tier_sums END,
    CASE WHEN tier IS NOT NULL THEN not_finite END
FROM (
    SELECT *, CASE
        WHEN NOT inside OR sum(n) FILTER (WHERE inside) OVER () <= %(max_points)s THEN NULL
        WHEN coarse_width <= %(widest)s THEN 'coarse'
        WHEN tier_width <= %(widest)s THEN 'fine' END AS tier
    FROM (
        SELECT *, first_step >= %(first_step)s AND last_step <= %(last_step)s
            AND first_time_us >= %(first_time_us)s AND last_time_us <= %(last_time_us)s AS inside
        FROM series_blocks
        WHERE series_id = %(series_id)s
            AND last_step >= %(first_step)s AND first_step <= %(last_step)s
            AND last_time_us >= %(first_time_us)s AND first_time_us <= %(last_time_us)s
    ) AS in_range
) AS blocks
ORDER BY attempt, first_step

-- name: select_loose
SELECT series_id, count(*)::int8, sum(n)::int8 FROM series_blocks WHERE NOT settled GROUP BY series_id

-- name: select_outlines
SELECT series_id, attempt, first_step, last_step, n, ctid::text FROM series_blocks WHERE series_id = ANY (%s::uuid[])
ORDER BY series_id, attempt, first_step, last_step, n

-- name: take_blocks
-- The places hold within the transaction that has read them: there is one writer.
DELETE FROM series_blocks WHERE ctid = ANY (%s::text[]::tid[]) RETURNING ctid::text, points

-- name: settle
UPDATE series_blocks SET settled = true WHERE series_id = ANY (%s::uuid[]) AND NOT settled

-- name: settle_lonely
WITH lonely AS (
    SELECT series_id FROM series_blocks WHERE series_id = ANY (%s::uuid[]) AND n < %s
    GROUP BY series_id HAVING count(*) = count(DISTINCT attempt)
)
UPDATE series_blocks AS b SET settled = true FROM lonely WHERE b.series_id = lonely.series_id AND NOT b.settled
RETURNING b.series_id
