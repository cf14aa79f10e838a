-- name: lock_head
-- Whoever has this row appends; everybody else waits for his commit.
SELECT next_position, greatest(received_at, clock_timestamp()) FROM log.head FOR UPDATE

-- name: move_head
UPDATE log.head SET next_position = %(next_position)s, received_at = %(received_at)s

-- name: make_day
SELECT log.make_day(%(day)s)

-- name: claim_batches
-- The first claim stands.
INSERT INTO log.batches (batch_id, workspace, user_name)
SELECT * FROM unnest(%(batch_ids)b::text[], %(workspaces)b::text[], %(users)b::text[])
ON CONFLICT (batch_id) DO NOTHING

-- name: owners_of_batches
SELECT batch_id, workspace, user_name FROM log.batches WHERE batch_id = ANY (%(batch_ids)b)

-- name: received_of_producers
SELECT p.workspace, p.user_name, p.producer_id, p.class, r.low, r.high
FROM unnest(%(workspaces)b::text[], %(users)b::text[], %(producer_ids)b::text[], %(classes)b::text[]) AS k(w, u, p, c)
JOIN log.producers p ON (p.workspace, p.user_name, p.producer_id, p.class) = (k.w, k.u, k.p, k.c)
CROSS JOIN LATERAL (SELECT lower(x) AS low, upper(x) AS high FROM unnest(p.received) AS x) AS r
ORDER BY 1, 2, 3, 4, 5

-- name: remember_received
-- In the order of their keys: one order of row locks for everybody.
INSERT INTO log.producers AS p (workspace, user_name, producer_id, class, batch_id, received, missing, updated_at)
SELECT w, u, i, c, b, r::int8multirange, m, now()
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int8[]) AS n(w, u, i, c, b, r, m)
ON CONFLICT (workspace, user_name, producer_id, class)
DO UPDATE SET received = excluded.received, missing = excluded.missing, updated_at = now(),
    batch_id = CASE WHEN excluded.batch_id = '' THEN p.batch_id ELSE excluded.batch_id END

-- name: remember_event_ids
-- Returns only those that nobody sent before.
INSERT INTO log.event_ids (event_id, batch_id)
SELECT * FROM unnest(%(event_ids)s::uuid[], %(batch_ids)s::text[])
ON CONFLICT DO NOTHING
RETURNING event_id, batch_id

-- name: append_record_batches
-- One statement for all of a commit: the trigger moves the head once.
COPY log.record_batches
    (first_position, last_position, n_events, class, day, received_at, workspace, user_name, batch_id, producer_id, payload)
FROM STDIN (FORMAT BINARY)

-- name: bury
INSERT INTO log.dead_letters (fingerprint, code, reason, subject, workspace, user_name, raw, producer_id, class, seqs)
VALUES (%(fingerprint)s, %(code)s, %(reason)s, %(subject)s, %(workspace)s, %(user)s, %(raw)s,
    %(producer_id)s, %(class)s, %(seqs)s::int8multirange)
ON CONFLICT (fingerprint) DO NOTHING

-- name: letters_to_redrive
SELECT dead_letter_id, code, subject, raw, workspace, user_name, producer_id, class, seqs::text AS seqs
FROM log.dead_letters
WHERE redriven_at IS NULL AND dead_letter_id > %(after)s AND (%(codes)s::text[] IS NULL OR code = ANY (%(codes)s::text[]))
ORDER BY dead_letter_id LIMIT %(limit)s
FOR UPDATE

-- name: release_numbers
-- The numbers that a letter alone accounted for are open again.
UPDATE log.producers SET received = received - %(seqs)s::int8multirange
WHERE (workspace, user_name, producer_id, class) = (%(workspace)s, %(user)s, %(producer_id)s, %(class)s)

-- name: mark_redriven
UPDATE log.dead_letters SET redriven_at = now() WHERE dead_letter_id = ANY (%(ids)s)

-- name: notify
-- A hint for tailing readers, one per commit.
SELECT pg_notify('argus_log', %(position)s::text)

-- name: missing_events
SELECT coalesce(sum(missing), 0)::bigint FROM log.producers WHERE missing > 0

-- name: unsafe_settings
-- A commit that returned must be on disk.
SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'
