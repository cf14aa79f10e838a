-- Pieces first, which stand in place of the comments of their names; scope.py and reads.py put them together.

-- name: covered
-- Somebody else's run over which the viewer may decide, too.
(%(everything)s OR workspace = ANY (%(led_workspaces)s) OR (cluster <> '' AND cluster = ANY (%(led_clusters)s)))

-- name: of_viewer
user_name = %(me)s

-- name: of_somebody
user_name = %(user)s AND /* covered */

-- name: of_all
(user_name = %(me)s OR /* covered */)

-- name: days_of_all
-- Sums over all users, where all of them may be seen; there the viewer's own are among them.
((user_name = '' AND /* covered */) OR (user_name = %(me)s AND NOT /* covered */))

-- name: visible
(%(all)s OR workspace = ANY (%(workspaces)s))

-- name: filters
/* scope */ AND /* visible */
AND (%(cluster)s::text IS NULL OR cluster = %(cluster)s)
AND (%(first_at)s::timestamptz IS NULL OR (sort_at >= %(first_at)s AND sort_at < %(end_at)s))
AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
AND (%(more_than)s::bigint IS NULL OR bytes > %(more_than)s)
AND (%(label)s::text IS NULL OR labels @> ARRAY[%(label)s::text])
AND (%(text)s::text IS NULL OR strpos(search_text, %(text)s) > 0)

-- name: named
/* scope */ AND /* visible */
AND (batch_id = ANY (%(names)s) OR (name_key = ANY (%(name_keys)s) AND name = ANY (%(names)s)))

-- name: each_run
SELECT (sort_at AT TIME ZONE 'UTC')::date AS day, status, 1 AS n_runs, cost_micros, wasted_micros, bytes, objects,
       (cost_micros IS NULL)::int AS n_without_cost, is_unmeasured::int AS n_unmeasured
  FROM dashboard_runs
 WHERE /* filters */

-- name: each_day
-- As `each_run`, where neither a label nor a text is asked for.
SELECT day, status, n_runs, cost_micros, wasted_micros, bytes, objects, n_without_cost, n_unmeasured
  FROM dashboard_days
 WHERE /* scope */ AND /* visible */
   AND (%(cluster)s::text IS NULL OR cluster = %(cluster)s)
   AND (%(first_day)s::date IS NULL OR day BETWEEN %(first_day)s AND %(last_day)s)
   AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
   AND (%(size_class)s::smallint IS NULL OR size_class >= %(size_class)s)

-- name: summary
SELECT coalesce(sum(n_runs), 0)::bigint AS n_runs,
       coalesce(sum(n_runs) FILTER (WHERE status <> 'succeeded'), 0)::bigint AS n_failed,
       coalesce(sum(n_runs) FILTER (WHERE status = 'aborted'), 0)::bigint AS n_aborted,
       coalesce(sum(cost_micros), 0) AS cost_micros, coalesce(sum(wasted_micros), 0) AS wasted_micros,
       coalesce(sum(n_without_cost), 0)::bigint AS n_without_cost,
       coalesce(sum(bytes), 0)::numeric AS bytes, coalesce(sum(objects), 0)::numeric AS objects,
       coalesce(sum(n_unmeasured), 0)::bigint AS n_unmeasured
  FROM (/* source */) AS each;

-- name: by_day
SELECT day, sum(n_runs)::bigint, coalesce(sum(cost_micros), 0), coalesce(sum(wasted_micros), 0), coalesce(sum(bytes), 0)::numeric
  FROM (/* source */) AS each
 GROUP BY day
 ORDER BY day;

-- name: by_time
sort_at

-- name: by_size_down
-- What is not known stands at the end.
coalesce(bytes, -1)

-- name: by_size_up
coalesce(bytes, 9223372036854775807)

-- name: by_name
name_key

-- name: page
-- In either direction from a row, which itself is not (or, with `=`, is) part of it.
SELECT batch_id, /* key */ AS key
  FROM dashboard_runs
 WHERE /* filters */
   AND (%(key)s::/* type */ IS NULL OR (/* key */, batch_id) /* beyond */ (%(key)s::/* type */, %(batch_id)s::text))
 ORDER BY /* key */ /* direction */, batch_id /* direction */
 LIMIT %(limit)s;

-- name: page_of_found
-- The same, where a text is looked for and the order is by name: nobody knows of a text how many runs have it, and to look for a rare
-- one in the order of names reads all rows of a user in no order of the disk. So first all that have it are found, and then sorted.
SELECT batch_id, key
  FROM (SELECT batch_id, /* key */ AS key FROM dashboard_runs WHERE /* filters */ OFFSET 0) AS found
 WHERE %(key)s::/* type */ IS NULL OR (key, batch_id) /* beyond */ (%(key)s::/* type */, %(batch_id)s::text)
 ORDER BY key /* direction */, batch_id /* direction */
 LIMIT %(limit)s;

-- name: select_shown
SELECT r.batch_id, r.type, r.project, r.workspace, r.user_name, r.status, r.labels, s.summary
  FROM runs r JOIN run_states s USING (batch_id)
 WHERE r.batch_id = ANY (%s);

-- name: not_found
-- Those of the names that no run has.
WITH found AS MATERIALIZED (SELECT name, batch_id FROM dashboard_runs WHERE /* filters */)
SELECT wanted
  FROM unnest(%(names)s::text[]) AS wanted
 WHERE wanted NOT IN (SELECT name FROM found) AND wanted NOT IN (SELECT batch_id FROM found);

-- name: choose_labels
SELECT label
  FROM dashboard_choices
 WHERE /* scope */ AND /* visible */ AND label <> '' AND (%(cluster)s::text IS NULL OR cluster = %(cluster)s)
 GROUP BY label
 ORDER BY sum(n_runs) DESC, label
 LIMIT %(most)s;

-- name: choose_others
-- Clusters and users whom the authority covers, users of the chosen cluster only.
(SELECT DISTINCT 'cluster' AS kind, cluster AS value
   FROM dashboard_choices
  WHERE label = '' AND cluster <> '' AND /* covered */ AND /* visible */
  ORDER BY value LIMIT %(most)s)
UNION ALL
(SELECT DISTINCT 'user', user_name AS value
   FROM dashboard_choices
  WHERE label = '' AND /* covered */ AND /* visible */ AND (%(cluster)s::text IS NULL OR cluster = %(cluster)s)
  ORDER BY value LIMIT %(most_users)s);
