-- name: get_outputs
SELECT r.batch_id, r.workspace, r.user_name, r.status, coalesce(r.last_seen_at, r.sort_at) AS last_seen_at, s.summary
  FROM runs r JOIN run_states s USING (batch_id)
 WHERE r.batch_id = ANY (%(batch_ids)s) AND (%(all)s OR r.workspace = ANY (%(workspaces)s));

-- name: owned
-- Stands in place of `owned` below.
(%(but_for)s::text IS NULL OR f.batch_id <> %(but_for)s) AND (%(user)s::text IS NULL OR (workspace = %(workspace)s
 AND EXISTS (SELECT FROM runs o WHERE o.batch_id = f.batch_id AND o.user_name = %(user)s)))

-- name: find_outputs
-- Folders that hold the asked one, and those at or below it: each of the two is one or a few ranges of an index.
SELECT f.batch_id, r.workspace, r.user_name, r.status, f.folder, f.is_work_dir, s.summary
  FROM (SELECT *
          FROM ((SELECT batch_id, folder, is_work_dir
                   FROM run_folders f
                  WHERE folder = ANY (%(above)s) AND (%(all)s OR workspace = ANY (%(workspaces)s)) AND /* owned */
                  ORDER BY folder, batch_id, is_work_dir LIMIT %(limit)s)
                UNION ALL
                (SELECT batch_id, folder, is_work_dir
                   FROM run_folders f
                  WHERE folder >= %(folder)s AND folder < %(behind)s AND (%(all)s OR workspace = ANY (%(workspaces)s)) AND /* owned */
                  ORDER BY folder, batch_id, is_work_dir LIMIT %(limit)s)) AS overlapping
         ORDER BY folder, batch_id, is_work_dir
         LIMIT %(limit)s) AS f
  JOIN runs r USING (batch_id)
  JOIN run_states s USING (batch_id)
 ORDER BY f.folder, f.batch_id, f.is_work_dir;

-- name: list_unmeasured
SELECT o.batch_id, o.workspace, o.since, s.summary -> 'dashboard' ->> 'output_dir', o.lifecycle_position
  FROM (SELECT batch_id, workspace, since, lifecycle_position
          FROM run_unmeasured
         WHERE (%(all)s OR workspace = ANY (%(workspaces)s))
           AND (%(since)s::timestamptz IS NULL OR (since, batch_id) > (%(since)s, %(batch_id)s::text))
         ORDER BY since, batch_id
         LIMIT %(limit)s) AS o
  JOIN run_states s USING (batch_id)
 ORDER BY o.since, o.batch_id;
