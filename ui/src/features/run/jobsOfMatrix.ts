import type { JobMatrix, JobSummary } from '@/api/types'
import { emptyJob } from './foldSummary'

/** The rows that an answer's columns make; what a matrix does not show is as if unknown. */
export function jobsOfMatrix(batchId: string, matrix: JobMatrix): JobSummary[] {
  const text = (places: readonly (number | null)[], i: number): string | null => matrix.texts[places[i] ?? -1] ?? null
  return matrix.job_id.map((jobId, i) => ({
    ...emptyJob(batchId, jobId, matrix.status[i] ?? 'queued'),
    name: matrix.name[i] ?? jobId,
    progress: matrix.progress[i] ?? null,
    n_epochs_expected: matrix.n_epochs_expected[i] ?? null,
    n_steps_expected: matrix.n_steps_expected[i] ?? null,
    loss: matrix.loss[i] ?? null,
    loss_key: text(matrix.loss_key, i),
    model: text(matrix.model, i),
    dataset: text(matrix.dataset, i),
    reason: text(matrix.reason, i),
  }))
}
