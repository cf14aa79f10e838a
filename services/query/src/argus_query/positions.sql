-- name: has_schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s);

-- name: begin_position
-- The row that says how far the live tables are; the first start makes it.
INSERT INTO projection_positions VALUES ('live', 0, '0001-01-01', NULL, 0) ON CONFLICT (name) DO NOTHING;

-- name: select_position
SELECT position, day, received_at, generation FROM projection_positions WHERE name = 'live';

-- name: select_moment
-- Ages are measured by the clock that `received_at` is by. Where it stepped back, by the newest event instead of by no time at all.
SELECT position, greatest(clock_timestamp(), received_at) FROM projection_positions WHERE name = 'live';

-- name: lock_and_select_moment
-- Not a SELECT first: with that the moment of the transaction would be taken.
LOCK TABLE projection_swaps IN ACCESS SHARE MODE;
SELECT position, greatest(clock_timestamp(), received_at) FROM projection_positions WHERE name = 'live';

-- name: lock_position
-- Whoever holds this row may change the live tables: one fold or one swap at a time.
SELECT position, day, received_at, generation FROM projection_positions WHERE name = 'live' FOR UPDATE;

-- name: move_position
UPDATE projection_positions SET position = %s, day = %s, received_at = %s WHERE name = 'live';

-- name: next_generation
UPDATE projection_positions SET generation = generation + 1 WHERE name = 'live';

-- name: note_day
INSERT INTO projection_days VALUES (%s, %s) ON CONFLICT (day) DO NOTHING;

-- name: select_versions
SELECT name, version FROM projection_slices;

-- name: store_version
INSERT INTO projection_slices VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET version = excluded.version;

-- name: insert_failure
INSERT INTO projection_failures (slice, position, batch_id, event_id, kind, traceback) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (slice, position) DO NOTHING;

-- name: clear_failures
DELETE FROM projection_failures WHERE slice = ANY (%s);

-- name: count_failures
SELECT slice, count(*) FROM projection_failures GROUP BY slice ORDER BY slice;

-- name: lag
-- The end of the log, how far the live tables are, and the age of the oldest event that they lack.
SELECT h.next_position - 1, p.position,
       CASE WHEN h.next_position - 1 <= p.position THEN 0
            ELSE extract(epoch FROM now() - coalesce((
                SELECT b.received_at FROM log.record_batches b
                 WHERE b.first_position > p.position AND b.day >= p.day
                 ORDER BY b.first_position LIMIT 1), now()))::float8 END
  FROM log.head h, projection_positions p
 WHERE p.name = 'live';

-- name: read_records
-- Whole records behind a position that stands at the end of a record. The day is that of the record before it.
SELECT class, day, first_position, last_position, received_at, workspace, user_name, batch_id, producer_id, payload
  FROM log.record_batches
 WHERE first_position > %s AND day >= %s
 ORDER BY first_position
 LIMIT %s;
