-- What a fold writes beside the rows of runs; ended.py says which rows there are.

-- name: upsert_ended
-- Labels as texts of arrays.
INSERT INTO dashboard_runs
SELECT sort_at, bytes, objects, cost_micros, wasted_micros, is_unmeasured, status, user_name, workspace, cluster, search_text,
       labels::text[], name_key, name, batch_id
  FROM unnest(%b::timestamptz[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::boolean[], %b::text[],
              %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[])
    AS n(sort_at, bytes, objects, cost_micros, wasted_micros, is_unmeasured, status, user_name, workspace, cluster,
         search_text, labels, name_key, name, batch_id)
ON CONFLICT (user_name, batch_id) DO UPDATE SET
    sort_at = excluded.sort_at, bytes = excluded.bytes, objects = excluded.objects, cost_micros = excluded.cost_micros,
    wasted_micros = excluded.wasted_micros, is_unmeasured = excluded.is_unmeasured, status = excluded.status,
    workspace = excluded.workspace, cluster = excluded.cluster, search_text = excluded.search_text, labels = excluded.labels,
    name_key = excluded.name_key, name = excluded.name;

-- name: delete_ended
DELETE FROM dashboard_runs d USING unnest(%b::text[], %b::text[]) AS n(batch_id, user_name)
 WHERE d.batch_id = n.batch_id AND d.user_name = n.user_name;

-- name: add_days
INSERT INTO dashboard_days
SELECT *
  FROM unnest(%b::text[], %b::text[], %b::text[], %b::date[], %b::text[], %b::smallint[], %b::bigint[], %b::numeric[],
              %b::numeric[], %b::numeric[], %b::numeric[], %b::bigint[], %b::bigint[])
ON CONFLICT (user_name, day, workspace, cluster, status, size_class) DO UPDATE SET
    n_runs = dashboard_days.n_runs + excluded.n_runs,
    cost_micros = dashboard_days.cost_micros + excluded.cost_micros,
    wasted_micros = dashboard_days.wasted_micros + excluded.wasted_micros,
    bytes = dashboard_days.bytes + excluded.bytes,
    objects = dashboard_days.objects + excluded.objects,
    n_without_cost = dashboard_days.n_without_cost + excluded.n_without_cost,
    n_unmeasured = dashboard_days.n_unmeasured + excluded.n_unmeasured;

-- name: drop_empty_days
DELETE FROM dashboard_days d
 USING unnest(%b::text[], %b::text[], %b::text[], %b::date[], %b::text[], %b::smallint[])
    AS n(workspace, cluster, user_name, day, status, size_class)
 WHERE (d.user_name, d.day, d.workspace, d.cluster, d.status, d.size_class)
     = (n.user_name, n.day, n.workspace, n.cluster, n.status, n.size_class) AND d.n_runs <= 0;

-- name: add_choices
INSERT INTO dashboard_choices
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[])
ON CONFLICT (user_name, label, workspace, cluster) DO UPDATE SET n_runs = dashboard_choices.n_runs + excluded.n_runs;

-- name: drop_empty_choices
DELETE FROM dashboard_choices c
 USING unnest(%b::text[], %b::text[], %b::text[], %b::text[]) AS n(workspace, cluster, user_name, label)
 WHERE (c.user_name, c.label, c.workspace, c.cluster) = (n.user_name, n.label, n.workspace, n.cluster) AND c.n_runs <= 0;
