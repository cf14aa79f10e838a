import type { LiveEvent } from '@/api/live'
import type { JobSummary } from '@/api/types'
import { foldSummary, newJob } from './foldSummary'

import { compareNaturally } from './jobMatrix'

/** The rows after these events, in natural order; neither argument is changed. A job that is new gets a row in its place. */
export function withEvents(jobs: readonly JobSummary[], events: readonly LiveEvent[]): JobSummary[] {
  const next = [...jobs]
  const touched = new Set(events.flatMap((event) => event.job_id ?? []))
  if (touched.size === 0) return next
  const at = new Map<string, number>()
  jobs.forEach((job, i) => {
    if (touched.has(job.job_id)) at.set(job.job_id, i)
  })
  for (const event of events) {
    if (event.job_id === null) continue
    const i = at.get(event.job_id) ?? next.length
    at.set(event.job_id, i)
    next[i] = foldSummary(next[i] ?? newJob(event, event.job_id), event)
  }
  return next.length > jobs.length ? next.sort((a, b) => compareNaturally(a.job_id, b.job_id)) : next
}
