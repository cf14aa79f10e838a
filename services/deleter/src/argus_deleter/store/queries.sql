-- name: head
-- How far the log is, and the time by the clock that everything here goes by.
SELECT next_position - 1, clock_timestamp() FROM log.head

-- name: now
SELECT clock_timestamp()

-- name: decisions_of
SELECT originator_id, originator_version, topic, state FROM deleter.decisions
WHERE originator_id = ANY (%(ids)s) ORDER BY originator_id, originator_version

-- name: put_deletion
INSERT INTO deleter.deletions AS d (deletion_id, batch_id, workspace, user_name, state, look_at)
VALUES (%(deletion_id)s, %(batch_id)s, %(workspace)s, %(user)s, %(state)s, %(look_at)s)
ON CONFLICT (deletion_id) DO UPDATE SET state = excluded.state, changed_at = now(), tries = 0, failures = 0,
    waits_for = NULL, look_at = CASE WHEN d.state = excluded.state THEN d.look_at ELSE excluded.look_at END

-- name: next_deletions
-- Those on their way, with the seconds until they are to be looked at. may_begin: also those that have touched nothing yet.
SELECT deletion_id, batch_id, extract(epoch FROM look_at - clock_timestamp())::float FROM deleter.deletions
WHERE state IN ('requested', 'planned', 'running') AND (state = 'running' OR %(may_begin)s) ORDER BY look_at LIMIT %(limit)s

-- name: postpone_deletion
UPDATE deleter.deletions
SET look_at = clock_timestamp() + make_interval(secs => %(seconds)s), tries = tries + 1, waits_for = %(why)s
WHERE deletion_id = %(deletion_id)s AND state IN ('requested', 'planned', 'running')

-- name: tries_of_deletion
SELECT tries FROM deleter.deletions WHERE deletion_id = %(deletion_id)s

-- name: failed
UPDATE deleter.deletions SET failures = failures + 1 WHERE deletion_id = %(deletion_id)s RETURNING failures

-- name: deletion_by_id
SELECT batch_id, workspace, user_name, state FROM deleter.deletions WHERE deletion_id = %(deletion_id)s

-- name: lock_deletion
-- Held by the session: gone with whoever works on the deletion.
SELECT pg_try_advisory_lock(%(space)s, hashtext(%(deletion_id)s))

-- name: deletions_by_state
SELECT state, count(*) FROM deleter.deletions GROUP BY state

-- name: forget_parts
-- Of one that is not planned yet, whoever else may have planned it meanwhile.
DELETE FROM deleter.manifest_parts
WHERE deletion_id = %(deletion_id)s
    AND EXISTS (SELECT FROM deleter.deletions d WHERE d.deletion_id = %(deletion_id)s AND d.state = 'requested')

-- name: put_part
INSERT INTO deleter.manifest_parts (deletion_id, number, n_entries, bytes, sha256, entries, ranges)
VALUES (%(deletion_id)s, %(number)s, %(n_entries)s, %(bytes)s, %(sha256)s, %(entries)s, %(ranges)s)

-- name: part_digests
SELECT number, n_entries, bytes, sha256 FROM deleter.manifest_parts
WHERE deletion_id = %(deletion_id)s AND number > %(above)s ORDER BY number LIMIT 1000

-- name: open_parts
SELECT number FROM deleter.manifest_parts WHERE deletion_id = %(deletion_id)s AND done_at IS NULL ORDER BY number

-- name: part
-- None where the deletion has ended: somebody else may have ended it, and nothing is deleted for it any more.
SELECT entries, ranges, first_look, done_at, sha256 FROM deleter.manifest_parts JOIN deleter.deletions USING (deletion_id)
WHERE deletion_id = %(deletion_id)s AND number = %(number)s AND state = 'running'

-- name: begin_part
UPDATE deleter.manifest_parts SET first_look = %(first_look)s
WHERE deletion_id = %(deletion_id)s AND number = %(number)s AND first_look IS NULL

-- name: finish_part
UPDATE deleter.manifest_parts SET done_at = clock_timestamp(), n_deleted = %(n_deleted)s, bytes_freed = %(bytes_freed)s,
    n_changed = %(n_changed)s, n_gone = %(n_gone)s, n_refused = %(n_refused)s, errors = %(errors)s
WHERE deletion_id = %(deletion_id)s AND number = %(number)s AND done_at IS NULL

-- name: sums_of_parts
SELECT coalesce(sum(n_deleted), 0)::bigint, coalesce(sum(bytes_freed), 0)::bigint, coalesce(sum(n_changed), 0)::bigint,
    coalesce(sum(n_gone), 0)::bigint, coalesce(sum(n_refused), 0)::bigint
FROM deleter.manifest_parts WHERE deletion_id = %(deletion_id)s

-- name: unknown_parts
-- Those that were begun, and whose result is not known.
SELECT number FROM deleter.manifest_parts
WHERE deletion_id = %(deletion_id)s AND first_look IS NOT NULL AND done_at IS NULL ORDER BY number

-- name: first_errors
SELECT e.error
FROM (SELECT number, errors FROM deleter.manifest_parts
      WHERE deletion_id = %(deletion_id)s AND jsonb_array_length(errors) > 0 ORDER BY number LIMIT 100) AS p
CROSS JOIN LATERAL jsonb_array_elements(p.errors) WITH ORDINALITY AS e(error, place)
ORDER BY p.number, e.place LIMIT 100

-- name: command
SELECT decision FROM deleter.commands WHERE command_id = %(command_id)s

-- name: put_command
INSERT INTO deleter.commands (command_id, verb, raw, decision)
VALUES (%(command_id)s, %(verb)s, %(raw)s, %(decision)s)

-- name: bury_command
INSERT INTO deleter.bad_commands (fingerprint, subject, reason, raw)
VALUES (sha256(%(raw)s), %(subject)s, %(reason)s, %(raw)s) ON CONFLICT DO NOTHING

-- name: measure
-- Asked for by somebody: listed at once, whatever was before.
INSERT INTO deleter.measurements (batch_id, look_at) VALUES (%(batch_id)s, clock_timestamp())
ON CONFLICT (batch_id) DO UPDATE SET look_at = excluded.look_at, failures = 0, problem = NULL, is_done = false

-- name: measure_unmeasured
-- What was tried since that end, or said and not yet read, waits for its own time. What was measured, and still counts as
-- unmeasured a day later, is measured again.
INSERT INTO deleter.measurements AS m (batch_id, output_dir, lifecycle_position, look_at)
SELECT b, o, p, clock_timestamp()
FROM unnest(%(batch_ids)s::text[], %(output_dirs)s::text[], %(lifecycle_positions)s::bigint[]) AS n(b, o, p)
ON CONFLICT (batch_id) DO UPDATE SET output_dir = excluded.output_dir, lifecycle_position = excluded.lifecycle_position,
    look_at = excluded.look_at, failures = 0, problem = NULL, is_done = false
WHERE (m.lifecycle_position, m.output_dir) IS DISTINCT FROM (excluded.lifecycle_position, excluded.output_dir)
    OR (m.is_done AND m.look_at < clock_timestamp() - interval '1 day')

-- name: measurements_due
SELECT batch_id FROM deleter.measurements
WHERE NOT is_done AND look_at <= clock_timestamp() ORDER BY look_at LIMIT %(limit)s

-- name: measured
-- look_at: when it was.
UPDATE deleter.measurements SET is_done = true, look_at = clock_timestamp(), failures = 0, problem = NULL
WHERE batch_id = %(batch_id)s

-- name: not_measured
UPDATE deleter.measurements SET failures = failures + 1, problem = %(problem)s,
    look_at = clock_timestamp() + make_interval(secs => least(86400, %(first_s)s * 2 ^ least(failures, 20)))
WHERE batch_id = %(batch_id)s

-- name: move_outbox
UPDATE deleter.outbox SET notification_id = %(notification_id)s WHERE notification_id < %(notification_id)s

-- name: unsaid
SELECT notification_id, originator_id, originator_version, topic, state FROM deleter.decisions
WHERE notification_id > %(above)s ORDER BY notification_id LIMIT %(limit)s

-- name: newest_decision
-- Of those that are said to the log.
SELECT originator_id, originator_version FROM deleter.decisions
WHERE topic <> 'outputs_opened' ORDER BY notification_id DESC LIMIT 1

-- name: log_with
-- How far the log is, where it has this event.
SELECT next_position - 1 FROM log.head WHERE EXISTS (SELECT FROM log.event_ids WHERE event_id = %(event_id)s)

-- name: outbox_lag
SELECT coalesce((SELECT max(notification_id) FROM deleter.decisions), 0) - (SELECT notification_id FROM deleter.outbox)
