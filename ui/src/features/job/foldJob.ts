import { listIn, measuredValues, numberIn, textIn, type LiveEvent } from '@/api/live'
import type { JobDetail, JobSummary, Measured } from '@/api/types'
import type { LivePoint } from '@/features/charts/curves'
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
  const step = numberIn(event.data, 'step') ?? numberIn(event.data, 'epoch') ?? job.step
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
    sparkline: key !== null && loss !== null && step !== null ? grow(job, key, step, loss) : job.sparkline,
  }
}

function progressOf(job: JobSummary, epoch: number | null, step: number | null): number | null {
  const share = job.n_epochs_expected && epoch !== null ? epoch / job.n_epochs_expected
    : job.n_steps_expected && step !== null ? step / job.n_steps_expected : null
  return share === null ? job.progress : Math.min(1, Math.max(share, 0))
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

/** The job page knows more: each GPU, the machine, the failure. */
export function foldDetail(job: JobDetail, event: LiveEvent): JobDetail {
  const next = foldSummary(job, event)
  if (event.kind === 'resource_snapshot') return foldMachine(next, event)
  if (event.kind === 'job_epoch') return foldMetrics(next, event)
  if (event.kind === 'job_failed' || event.kind === 'job_done' || event.kind === 'job_aborted') {
    return { ...next, traceback: textIn(event.data, 'traceback') ?? job.traceback, exit_code: numberIn(event.data, 'exit_code') ?? job.exit_code }
  }
  if (event.kind === 'log_line') return { ...next, n_log_lines: job.n_log_lines + 1, last_activity_at: event.occurred_at }
  return next
}

function foldMachine(job: JobDetail, event: LiveEvent): JobDetail {
  const gpus = listIn(event.data, 'gpus').map((gpu): JobDetail['gpus'][number] => {
    const index = numberIn(gpu, 'index') ?? 0
    const before = job.gpus.find((one) => one.index === index)
    const used = numberIn(gpu, 'memory_used_bytes')
    return {
      index, uuid: textIn(gpu, 'uuid') ?? before?.uuid ?? null,
      util_pct: numberIn(gpu, 'util_pct'),
      memory_used_bytes: used,
      memory_total_bytes: numberIn(gpu, 'memory_total_bytes') ?? before?.memory_total_bytes ?? null,
      memory_peak_bytes: used === null ? (before?.memory_peak_bytes ?? null) : Math.max(used, before?.memory_peak_bytes ?? 0),
      temperature_c: numberIn(gpu, 'temperature_c'),
      power_w: numberIn(gpu, 'power_w'),
    }
  })
  return {
    ...job,
    gpus: gpus.length > 0 ? gpus : job.gpus,
    snapshot_at: event.occurred_at,
    cpu_pct: numberIn(event.data, 'cpu_pct') ?? job.cpu_pct,
    rss_bytes: numberIn(event.data, 'rss_bytes') ?? job.rss_bytes,
    memory_used_bytes: numberIn(event.data, 'memory_used_bytes') ?? job.memory_used_bytes,
    memory_total_bytes: numberIn(event.data, 'memory_total_bytes') ?? job.memory_total_bytes,
    disk_free_bytes: numberIn(event.data, 'disk_free_bytes') ?? job.disk_free_bytes,
  }
}

function foldMetrics(job: JobDetail, event: LiveEvent): JobDetail {
  const values = measuredValues(event.data)
  const step = numberIn(event.data, 'step') ?? numberIn(event.data, 'epoch')
  const known = new Set(job.series.map((one) => one.key))
  const fresh = values.filter(([key]) => !known.has(key)).map(([key, last]): JobDetail['series'][number] => ({
    key, family: 'metric', n_points: 1, last, last_step: step,
    min: typeof last === 'number' ? last : null, max: typeof last === 'number' ? last : null,
  }))
  const latest = new Map<string, Measured>(values)
  return {
    ...job,
    series: [...job.series.map((one) => (latest.has(one.key) && one.family === 'metric'
      ? { ...one, n_points: one.n_points + 1, last: latest.get(one.key) ?? null, last_step: step ?? one.last_step } : one)), ...fresh],
  }
}

/** The point of a curve that an event carries: metrics, or the machine's figures under the names of their series. */
export function livePoint(event: LiveEvent): LivePoint | null {
  const time_ms = moment(event.occurred_at)
  if (time_ms === null) return null
  const at = { position: event.position, attempt: event.attempt, time_ms }
  if (event.kind === 'job_epoch') {
    const step = numberIn(event.data, 'step') ?? numberIn(event.data, 'epoch')
    return step === null ? null : { ...at, step, values: measuredValues(event.data) }
  }
  return event.kind === 'resource_snapshot' ? { ...at, step: 0, values: systemValues(event.data) } : null
}

function systemValues(data: Record<string, unknown>): [string, number][] {
  const values: [string, number][] = []
  const add = (key: string, value: number | null): void => {
    if (value !== null) values.push([key, value])
  }
  for (const gpu of listIn(data, 'gpus')) {
    const index = numberIn(gpu, 'index')
    for (const name of ['util_pct', 'memory_used_bytes', 'temperature_c', 'power_w']) add(`gpu.${index ?? 0}.${name}`, numberIn(gpu, name))
  }
  for (const name of ['cpu_pct', 'rss_bytes', 'memory_used_bytes', 'disk_free_bytes', 'net_rx_bytes', 'net_tx_bytes']) add(name, numberIn(data, name))
  return values
}

function secondsBetween(from: string | null, to: string): number | null {
  const start = moment(from)
  const end = moment(to)
  return start === null || end === null ? null : Math.max(0, (end - start) / 1000)
}
