-- name: position_and_day
-- How far the live tables and the log are, and the day before which nothing behind `since` was received.
SELECT p.position, (SELECT h.next_position - 1 FROM log.head h),
       (SELECT coalesce(max(d.day), '0001-01-01') FROM projection_days d WHERE d.first_position <= %s)
  FROM projection_positions p
 WHERE p.name = 'live';

-- name: records_of_batches
-- Records of some batches that have events behind `since`, of each batch the first ones.
SELECT r.first_position, r.last_position, r.workspace, r.batch_id, r.payload
  FROM unnest(%(batch_ids)s::text[]) AS b(batch_id)
 CROSS JOIN LATERAL (
    SELECT first_position, last_position, workspace, batch_id, payload
      FROM log.record_batches l
     WHERE l.batch_id = b.batch_id AND l.class = ANY (%(classes)s) AND l.last_position > %(since)s
       AND l.first_position <= %(up_to)s AND l.day >= %(day)s
     ORDER BY l.last_position
     LIMIT %(limit)s) AS r
 ORDER BY r.last_position;

-- name: lifecycle_records
-- Lifecycle records behind `since`, whoever's they are; the caller looks at the workspace.
SELECT first_position, last_position, workspace, batch_id,
       CASE WHEN %(all)s OR workspace = ANY (%(workspaces)s) THEN payload END
  FROM log.record_batches
 WHERE class = 'lifecycle' AND first_position > %(since)s - 500 AND last_position > %(since)s
   AND first_position <= %(up_to)s AND day >= %(day)s
 ORDER BY first_position
 LIMIT %(limit)s;
