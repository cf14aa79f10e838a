import type { LiveEvent } from '@/api/live'

const LIFECYCLE = new Set([
  'batch_start', 'batch_done', 'batch_failed', 'batch_aborted', 'env_snapshot', 'stop_requested', 'run_purged',
  'job_submitted', 'job_start', 'job_done', 'job_failed', 'job_aborted', 'job_cached', 'job_idle_flagged', 'job_idle_recovered',
])

export const isLifecycle = (kind: string): boolean => LIFECYCLE.has(kind)

export const batchTopic = (batchId: string): string => `batch:${batchId}`
/** The lines of a run and of all its jobs. */
export const logTopic = (batchId: string): string => `log:${batchId}`
export const jobTopic = (batchId: string, jobId: string): string => `job:${batchId}/${jobId}`

/** Whether `topic` names this event. The same rule as the server's, so that one stream can feed several pages. */
export function topicNames(topic: string, event: LiveEvent): boolean {
  if (topic === 'dashboard') return isLifecycle(event.kind)
  if (topic.startsWith('batch:')) {
    return topic === batchTopic(event.batch_id) && event.kind !== 'log_line' && event.kind !== 'resource_snapshot'
  }
  if (topic.startsWith('log:')) return topic === logTopic(event.batch_id) && event.kind === 'log_line'
  if (event.job_id === null) return topic.startsWith(`job:${event.batch_id}/`)
  return topic === jobTopic(event.batch_id, event.job_id)
}
