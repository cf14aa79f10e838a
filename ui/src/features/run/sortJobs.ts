import type { JobSummary, Measured } from '@/api/types'
import { statusRank } from '@/shared/status'

import { compareNaturally } from './jobMatrix'

export const JOB_SORTS = ['job', 'status', 'progress', 'loss', 'eta', 'elapsed', 'gpu'] as const
export type JobSort = (typeof JOB_SORTS)[number]

/** Orders that a matrix knows by itself. */
export const TILE_SORTS: readonly JobSort[] = ['job', 'status', 'progress', 'loss']

/** Raw values, what is unknown last in both directions; equal rows keep the order of their names. */
export function sortJobs(jobs: readonly JobSummary[], by: JobSort, descending: boolean): JobSummary[] {
  const sign = descending ? -1 : 1
  // Comparing names is what costs, and the server's lists are in this order already: then it is one look at each.
  const named = [...jobs].sort((a, b) => compareNaturally(a.job_id, b.job_id))
  if (by === 'job') return descending ? named.reverse() : named
  const values = new Map(named.map((job) => [job, valueOf(job, by)]))
  return named.sort((a, b) => {
    const first = values.get(a) ?? null
    const second = values.get(b) ?? null
    if (first === second) return 0
    if (first === null || second === null) return first === null ? 1 : -1
    return sign * (first < second ? -1 : 1)
  })
}

function valueOf(job: JobSummary, by: Exclude<JobSort, 'job'>): number | null {
  switch (by) {
    case 'status': return statusRank(job.status)
    case 'progress': return job.progress
    case 'loss': return measuredOrder(job.loss)
    case 'eta': return job.eta_s
    case 'elapsed': return job.elapsed_s
    case 'gpu': return job.gpu_util_pct
  }
}

const measuredOrder = (value: Measured): number | null =>
  value === 'Infinity' ? Infinity : value === '-Infinity' ? -Infinity : value === 'NaN' ? null : value
