import type { JobSummary } from '@/api/types'

export interface MatrixCell { jobs: JobSummary[] }
export interface JobMatrix {
  /** Rows and columns in natural order. */
  models: string[]
  datasets: string[]
  cell: (model: string, dataset: string) => JobSummary[]
  /** Jobs that name no model or no dataset. */
  rest: JobSummary[]
}

/** Model by dataset, or null where the jobs name none: then they are shown as a grid. */
export function jobMatrix(jobs: readonly JobSummary[]): JobMatrix | null {
  const named = jobs.filter((job) => job.model !== null && job.dataset !== null)
  if (named.length === 0) return null
  const cells = new Map<string, JobSummary[]>()
  for (const job of named) {
    const key = JSON.stringify([job.model, job.dataset])
    const cell = cells.get(key)
    if (cell) cell.push(job)
    else cells.set(key, [job])
  }
  return {
    models: naturally(named.flatMap((job) => job.model ?? [])),
    datasets: naturally(named.flatMap((job) => job.dataset ?? [])),
    cell: (model, dataset) => cells.get(JSON.stringify([model, dataset])) ?? [],
    rest: jobs.filter((job) => job.model === null || job.dataset === null),
  }
}

const collator = new Intl.Collator('en', { numeric: true })
const naturally = (names: string[]): string[] => [...new Set(names)].sort(collator.compare)
export const compareNaturally = (a: string, b: string): number => collator.compare(a, b)

/**
 * The one best and the one worst job by loss (lower is better). Only jobs that ended well with a finite loss count;
 * with fewer than two of them, and where several share the place, there is none.
 */
export function bestAndWorst(jobs: readonly JobSummary[]): { best: string | null; worst: string | null } {
  const eligible = jobs.flatMap((job) => (job.status === 'succeeded' && typeof job.loss === 'number' ? [{ id: job.job_id, loss: job.loss, key: job.loss_key }] : []))
  const sameMetric = new Set(eligible.map((one) => one.key)).size === 1
  if (eligible.length < 2 || !sameMetric) return { best: null, worst: null }
  const lowest = eligible.reduce((low, one) => Math.min(low, one.loss), Infinity)
  const highest = eligible.reduce((high, one) => Math.max(high, one.loss), -Infinity)
  const only = (loss: number): string | null => {
    const holders = eligible.filter((one) => one.loss === loss)
    return holders.length === 1 ? (holders[0]?.id ?? null) : null
  }
  return lowest === highest ? { best: null, worst: null } : { best: only(lowest), worst: only(highest) }
}
