import { answer, type Api } from '@/api/client'
import type { JobAnswer, RunAnswer } from '@/api/types'

/** The same question under the same key wherever it is asked, so that a prefetched answer is found. */
export function runQuery(api: Api, batchId: string) {
  return {
    queryKey: ['run', batchId],
    queryFn: ({ signal }: { signal: AbortSignal }): Promise<RunAnswer> =>
      answer(api.GET('/api/batches/{batch_id}', { params: { path: { batch_id: batchId } }, signal })),
  }
}

export function jobQuery(api: Api, batchId: string, jobId: string) {
  return {
    queryKey: ['job', batchId, jobId],
    queryFn: ({ signal }: { signal: AbortSignal }): Promise<JobAnswer> =>
      answer(api.GET('/api/batches/{batch_id}/jobs/{job_id}', { params: { path: { batch_id: batchId, job_id: jobId } }, signal })),
  }
}
