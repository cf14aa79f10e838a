-- Which runs a page of the list has; find.py says how these work together.

-- name: filters
-- What narrows a list, but for text and label; stands in place of `filters` below.
    (%(status)s::text IS NULL OR status = %(status)s)
AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s))
AND (NOT %(disconnected)s OR status = ANY (%(connected)s)
     OR coalesce(last_seen_at, sort_at) < %(now)s - 3 * heartbeat_interval_s * interval '1 second')
AND (%(project)s::text IS NULL OR project = %(project)s)
AND (%(user)s::text IS NULL OR user_name = %(user)s)
AND (%(type)s::text IS NULL OR type = %(type)s)

-- name: behind
-- What a cursor has left; stands in place of `behind` below.
    (%(sort_at)s::timestamptz IS NULL
     OR (sort_at, batch_id) < (%(sort_at)s::timestamptz, %(batch_id)s::text COLLATE "C"))

-- name: plain_page
-- Without text and label. Per workspace, so that each part is one range of an index however many runs others have.
SELECT r.batch_id
  FROM unnest(%(workspaces)s::text[]) AS w(workspace)
 CROSS JOIN LATERAL (
    SELECT batch_id, sort_at
      FROM runs
     WHERE /* of workspace */ AND /* behind */ AND /* filters */
     ORDER BY sort_at DESC, batch_id DESC
     LIMIT %(limit)s) AS r
 ORDER BY r.sort_at DESC, r.batch_id DESC
 LIMIT %(limit)s;

-- name: newest_page
-- Of the newest `window` runs of each workspace those that fit, as far back as all the windows reach; and whether there
-- is nothing behind the windows.
WITH looked_at AS MATERIALIZED (
    SELECT w.workspace, r.*
      FROM unnest(%(workspaces)s::text[]) AS w(workspace)
     CROSS JOIN LATERAL (
        SELECT batch_id, sort_at,
               (%(label)s::text IS NULL OR labels @> ARRAY[%(label)s::text])
               AND (%(text)s::text IS NULL OR strpos(search_text, %(text)s) > 0)
               AND /* filters */ AS fits
          FROM runs
         WHERE /* of workspace */ AND /* behind */
           AND (%(drive_project)s::text IS NULL OR project = %(drive_project)s)
           AND (%(drive_user)s::text IS NULL OR user_name = %(drive_user)s)
           AND (%(drive_status)s::text IS NULL OR status = %(drive_status)s)
         ORDER BY sort_at DESC, batch_id DESC
         LIMIT %(window)s) AS r),
reach AS MATERIALIZED (
    SELECT max(oldest) AS sort_at
      FROM (SELECT min(sort_at) AS oldest FROM looked_at GROUP BY workspace HAVING count(*) = %(window)s) AS full_windows)
SELECT (SELECT sort_at IS NULL FROM reach),
       ARRAY(SELECT batch_id
               FROM looked_at
              WHERE fits AND sort_at > coalesce((SELECT sort_at FROM reach), '-infinity')
              ORDER BY sort_at DESC, batch_id DESC
              LIMIT %(limit)s);

-- name: page_by_words
-- All that have the words, however old, the newest first: each is looked up by itself, and no more than fill the page.
SELECT found.batch_id
  FROM (SELECT batch_id, sort_at
          FROM run_words
         WHERE words @@ %(words)s::tsquery AND /* behind */
         ORDER BY sort_at DESC, batch_id DESC) AS found
 CROSS JOIN LATERAL (
    SELECT
      FROM runs
     WHERE runs.batch_id = found.batch_id AND /* filters */
       AND (%(visible)s::text[] IS NULL OR workspace = ANY (%(visible)s))
       AND (%(label)s::text IS NULL OR labels @> ARRAY[%(label)s::text])
       AND (%(text)s::text IS NULL OR strpos(search_text, %(text)s) > 0)
     LIMIT 1) AS run
 ORDER BY found.sort_at DESC, found.batch_id DESC
 LIMIT %(limit)s;
