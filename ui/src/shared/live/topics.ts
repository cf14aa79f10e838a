import type { LiveEvent } from '@/api/live'

/** What flows while a run goes on; pages fold it by themselves. */
const NO_NEWS = new Set(['job_epoch', 'resource_snapshot', 'log_line', 'batch_heartbeat'])

/** Whether the server's answers may be others now. So it is after a kind that this page does not know. */
export const isNews = (kind: string): boolean => !NO_NEWS.has(kind)

export const batchTopic = (batchId: string): string => `batch:${batchId}`
/** The lines of a run and of all its jobs. */
export const logTopic = (batchId: string): string => `log:${batchId}`
export const jobTopic = (batchId: string, jobId: string): string => `job:${batchId}/${jobId}`

/** Whether `topic` names this event. The same rule as the server's, so that one stream can feed several pages. */
export function topicNames(topic: string, event: LiveEvent): boolean {
  if (topic === 'dashboard') return event.job_id === null && isNews(event.kind)
  if (topic.startsWith('batch:')) {
    return topic === batchTopic(event.batch_id) && event.kind !== 'log_line' && event.kind !== 'resource_snapshot'
  }
  if (topic.startsWith('log:')) return topic === logTopic(event.batch_id) && event.kind === 'log_line'
  if (event.job_id === null) return topic.startsWith(`job:${event.batch_id}/`)
  return topic === jobTopic(event.batch_id, event.job_id)
}
