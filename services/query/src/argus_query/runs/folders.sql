-- name: insert_folders
INSERT INTO run_folders SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::boolean[]);

-- name: delete_folders
DELETE FROM run_folders f USING unnest(%b::text[], %b::text[], %b::boolean[]) AS n(batch_id, folder, is_work_dir)
 WHERE (f.batch_id, f.folder, f.is_work_dir) = (n.batch_id, n.folder, n.is_work_dir);

-- name: upsert_unmeasured
INSERT INTO run_unmeasured SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::bigint[])
ON CONFLICT (batch_id) DO UPDATE SET since = excluded.since, lifecycle_position = excluded.lifecycle_position;

-- name: delete_unmeasured
DELETE FROM run_unmeasured WHERE batch_id = ANY (%b);

-- name: delete_folders_of
DELETE FROM run_folders WHERE batch_id = ANY (%b);
