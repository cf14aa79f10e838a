-- name: load_deletions
SELECT d.deletion_id, d.batch_id, d.workspace, d.owner, d.known
  FROM deletions d JOIN unnest(%b::text[], %b::text[]) AS n(batch_id, deletion_id) USING (batch_id, deletion_id);

-- name: upsert_deletions
INSERT INTO deletions
SELECT batch_id, deletion_id, workspace, owner, requested_by, requested_at, state, in_flight, known::json
  FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::boolean[],
              %b::text[])
    AS n(batch_id, deletion_id, workspace, owner, requested_by, requested_at, state, in_flight, known)
ON CONFLICT (batch_id, deletion_id) DO UPDATE SET
    workspace = excluded.workspace, owner = excluded.owner, requested_by = excluded.requested_by,
    requested_at = excluded.requested_at, state = excluded.state, in_flight = excluded.in_flight, known = excluded.known;

-- name: delete_deletions
DELETE FROM deletions WHERE batch_id = ANY (%s);

-- name: list_deletions
-- Those that somebody asked for, or that are about runs of his, and that are on their way or young, with the counts of all of
-- them. Those on their way come first, so that they are in the answer however many there are.
SELECT d.deletion_id, d.batch_id, d.workspace, d.owner, d.known, d.requested_at, s.summary ->> 'name' AS run_name,
       d.n_in_flight, d.n_deleted, d.n_failed
  FROM (SELECT *, count(*) FILTER (WHERE in_flight) OVER () AS n_in_flight,
               count(*) FILTER (WHERE state = 'deleted') OVER () AS n_deleted,
               count(*) FILTER (WHERE state IN ('failed', 'partial')) OVER () AS n_failed
          FROM (SELECT * FROM deletions
                 WHERE requested_by = %(user)s AND (in_flight OR requested_at > %(since)s)
                UNION ALL
                SELECT * FROM deletions
                 WHERE owner = %(user)s AND requested_by <> %(user)s AND (in_flight OR requested_at > %(since)s)) AS mine
         WHERE (%(all)s OR workspace = ANY (%(workspaces)s))
         ORDER BY in_flight DESC, requested_at DESC, deletion_id
         LIMIT %(limit)s) AS d
  LEFT JOIN run_states s USING (batch_id)
 ORDER BY d.requested_at DESC, d.deletion_id;

-- name: get_deletion
SELECT d.deletion_id, d.batch_id, d.workspace, d.owner, d.known, s.summary ->> 'name' AS run_name,
       s.summary -> 'dashboard' ->> 'cluster' AS cluster
  FROM deletions d LEFT JOIN run_states s USING (batch_id)
 WHERE d.deletion_id = %(deletion_id)s AND (%(all)s OR d.workspace = ANY (%(workspaces)s))
 ORDER BY d.batch_id
 LIMIT 1;
