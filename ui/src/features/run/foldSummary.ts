import { listIn, measuredValues, numberIn, textIn, type LiveEvent } from '@/api/live'
import type { JobSummary, Measured } from '@/api/types'
import { moment } from '@/shared/format'
import { isEnded } from '@/shared/status'

/** Which measured value a reader calls the loss: the same order as the server's. */
export function lossKey(keys: readonly string[]): string | null {
  for (const key of ['val_loss', 'train_loss', 'loss']) if (keys.includes(key)) return key
  return keys.find((key) => key.toLowerCase().includes('loss')) ?? null
}

/** A job of which nothing is known but its id and status. */
export function emptyJob(batchId: string, jobId: string, status: JobSummary['status']): JobSummary {
  return {
    batch_id: batchId, job_id: jobId, name: jobId, model: null, dataset: null, status, status_since: null,
    started_at: null, ended_at: null, last_activity_at: null, elapsed_s: null, attempt: 1, epoch: null, step: null,
    n_epochs_expected: null, n_steps_expected: null, progress: null, eta_s: null, loss_key: null, loss: null, train_loss: null, val_loss: null,
    sparkline: null, gpu_util_pct: null, gpu_memory_peak_bytes: null, host: null, reason: null,
  }
}

/** A job of which nothing was known before this event, for `foldSummary` to go on from. */
export function newJob(event: LiveEvent, jobId: string): JobSummary {
  const job = emptyJob(event.batch_id, jobId, event.kind === 'job_submitted' ? 'queued' : 'running')
  return { ...job, status_since: event.occurred_at, last_activity_at: event.occurred_at, attempt: event.attempt }
}

/** What shows at once when an event arrives; the next answer of the server replaces it. */
export function foldSummary<T extends JobSummary>(job: T, event: LiveEvent): T {
  switch (event.kind) {
    case 'job_submitted':
      return job.status !== 'queued' || job.started_at !== null ? job : { ...job, ...called(job, event), status: 'queued', last_activity_at: event.occurred_at }
    case 'job_start':
      return { ...job, ...called(job, event), status: 'running', status_since: event.occurred_at, started_at: event.occurred_at, ended_at: null, attempt: event.attempt, last_activity_at: event.occurred_at }
    case 'job_epoch':
      return foldPoint(job, event)
    case 'job_done':
      return ended(job, event, 'succeeded')
    case 'job_failed':
      return ended(job, event, 'failed')
    case 'job_aborted':
      return ended(job, event, 'aborted')
    case 'job_cached':
      return ended(job, event, 'cached')
    case 'resource_snapshot':
      return foldSnapshot(job, event)
    default:
      return job
  }
}

function called(job: JobSummary, { data }: LiveEvent): Partial<JobSummary> {
  return {
    name: textIn(data, 'name') ?? job.name, model: textIn(data, 'model') ?? job.model, dataset: textIn(data, 'dataset') ?? job.dataset,
    host: textIn(data, 'host') ?? job.host,
    n_epochs_expected: numberIn(data, 'n_epochs_expected') ?? job.n_epochs_expected, n_steps_expected: numberIn(data, 'n_steps_expected') ?? job.n_steps_expected,
  }
}

function ended<T extends JobSummary>(job: T, event: LiveEvent, status: T['status']): T {
  return {
    ...job, status, status_since: event.occurred_at, ended_at: event.occurred_at, last_activity_at: event.occurred_at, eta_s: null,
    reason: textIn(event.data, 'reason') ?? job.reason,
    elapsed_s: numberIn(event.data, 'elapsed_s') ?? secondsBetween(job.started_at, event.occurred_at) ?? job.elapsed_s,
    progress: status === 'succeeded' && job.progress !== null ? 1 : job.progress,
  }
}

function foldPoint<T extends JobSummary>(job: T, event: LiveEvent): T {
  const values = new Map<string, Measured>(measuredValues(event.data))
  const epoch = numberIn(event.data, 'epoch') ?? job.epoch
  const step = numberIn(event.data, 'step') ?? job.step
  const x = numberIn(event.data, 'step') ?? numberIn(event.data, 'epoch')
  const key = lossKey([...values.keys(), ...(job.loss_key === null ? [] : [job.loss_key])])
  const loss = key === null ? null : (values.get(key) ?? null)
  const elapsed = isEnded(job.status) ? job.elapsed_s : (secondsBetween(job.started_at, event.occurred_at) ?? job.elapsed_s)
  const progress = progressOf(job, epoch, step)
  return {
    ...job, epoch, step, progress,
    elapsed_s: elapsed,
    eta_s: isEnded(job.status) || progress === null || progress <= 0 || elapsed === null ? null : (elapsed * (1 - progress)) / progress,
    last_activity_at: event.occurred_at,
    loss_key: key,
    loss: loss ?? job.loss,
    train_loss: values.get('train_loss') ?? job.train_loss,
    val_loss: values.get('val_loss') ?? job.val_loss,
    sparkline: key !== null && loss !== null && x !== null ? grow(job, key, x, loss) : job.sparkline,
  }
}

/** As the server counts it, or a bar would step back with every event and forth with every answer. */
function progressOf(job: JobSummary, epoch: number | null, step: number | null): number | null {
  const share = job.n_steps_expected && step !== null ? step / job.n_steps_expected
    : job.n_epochs_expected && epoch !== null ? (epoch + firstCounts(job, job.n_epochs_expected, epoch)) / job.n_epochs_expected : null
  return share === null ? job.progress : Math.min(1, Math.max(share, 0))
}

/** 1 where epochs count from 0, so that epoch 0 is one done. The server has seen all of them: its last progress tells. */
function firstCounts(job: JobSummary, expected: number, epoch: number): 0 | 1 {
  if (job.epoch === null || job.progress === null) return epoch === 0 ? 1 : 0
  return epoch === 0 || Math.round(job.progress * expected) > job.epoch ? 1 : 0
}

/** The sparkline keeps at most 64 points: where it is full, every other one goes. */
function grow(job: JobSummary, key: string, step: number, loss: Exclude<Measured, null>): JobSummary['sparkline'] {
  const before = job.sparkline?.key === key ? job.sparkline : { key, steps: [], values: [] }
  if ((before.steps.at(-1) ?? -Infinity) >= step) return before
  const value = typeof loss === 'number' ? loss : null
  const full = before.steps.length >= 64
  const keep = <V>(list: readonly V[]): V[] => (full ? list.filter((_, i) => i % 2 === 0) : [...list])
  return { key, steps: [...keep(before.steps), step], values: [...keep(before.values), value] }
}

function foldSnapshot<T extends JobSummary>(job: T, event: LiveEvent): T {
  const gpus = listIn(event.data, 'gpus')
  const utils = gpus.flatMap((gpu) => numberIn(gpu, 'util_pct') ?? [])
  const used = gpus.flatMap((gpu) => numberIn(gpu, 'memory_used_bytes') ?? [])
  const sum = used.reduce((a, b) => a + b, 0)
  return {
    ...job,
    gpu_util_pct: utils.length > 0 ? utils.reduce((a, b) => a + b, 0) / utils.length : job.gpu_util_pct,
    gpu_memory_peak_bytes: used.length > 0 ? Math.max(job.gpu_memory_peak_bytes ?? 0, sum) : job.gpu_memory_peak_bytes,
    last_activity_at: event.occurred_at,
  }
}

function secondsBetween(from: string | null, to: string): number | null {
  const start = moment(from)
  const end = moment(to)
  return start === null || end === null ? null : Math.max(0, (end - start) / 1000)
}
