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

-- name: in_workspace
-- Stands in place of `range` below, with a number behind the name of the parameter.
workspace = %(workspace)s

-- name: in_visible
(%(visible)s::text[] IS NULL OR workspace = ANY (%(visible)s))

-- name: with_status
status = %(status_of_range)s

-- name: newest_of_range
-- Without text and label: of one range those that a page may hold.
SELECT batch_id, sort_at
  FROM runs
 WHERE /* range */ AND /* behind */ AND /* filters */
 ORDER BY sort_at DESC, batch_id DESC
 LIMIT %(limit)s

-- name: newest_page
-- All ranges in one order: as each is read in order, none is read further than the page needs it.
SELECT batch_id
  FROM (/* ranges */) AS found
 ORDER BY sort_at DESC, batch_id DESC
 LIMIT %(limit)s;

-- name: judged_of_range
-- With text or label: the newest of one range, and whether they fit.
SELECT batch_id, sort_at,
       (%(label)s::text IS NULL OR labels @> ARRAY[%(label)s::text])
       AND (%(text)s::text IS NULL OR strpos(search_text, %(text)s) > 0)
       AND /* filters */ AS fits
  FROM runs
 WHERE /* range */ AND /* behind */
   AND (%(drive_project)s::text IS NULL OR project = %(drive_project)s)
   AND (%(drive_user)s::text IS NULL OR user_name = %(drive_user)s)
   AND NOT (SELECT is_rare FROM rare)
 ORDER BY sort_at DESC, batch_id DESC
 LIMIT %(window)s

-- name: fitting_page
-- Of the newest `window` runs of all ranges those that fit, no further than the page needs. `is_end`: the window ends here,
-- and nobody knows what is behind. Where the label is so rare that a window is not likely to hold a page of it, none is
-- looked at, and the one row says that it ends at once.
WITH rare AS MATERIALIZED (
    SELECT %(label)s::text IS NOT NULL AND (
        SELECT coalesce(sum(n_runs), 0) FROM run_facets
         WHERE kind = 'label' AND value = %(label)s AND /* visible */) * %(window)s < (
        SELECT coalesce(sum(n_runs), 0) FROM run_facets WHERE kind = 'workspace' AND /* visible */) * %(limit)s AS is_rare)
SELECT batch_id, fits, is_end
  FROM ((SELECT batch_id, sort_at, fits, n = %(window)s AS is_end
           FROM (SELECT batch_id, sort_at, fits, row_number() OVER (ORDER BY sort_at DESC, batch_id DESC) AS n
                   FROM (SELECT batch_id, sort_at, fits
                           FROM (/* ranges */) AS judged
                          ORDER BY sort_at DESC, batch_id DESC
                          LIMIT %(window)s) AS looked_at) AS numbered
          WHERE fits OR n = %(window)s
          ORDER BY sort_at DESC, batch_id DESC)
         UNION ALL
        (SELECT NULL::text COLLATE "C", 'infinity'::timestamptz, false, true FROM rare WHERE is_rare)) AS found
 ORDER BY sort_at DESC, batch_id DESC
 LIMIT %(limit)s;

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
