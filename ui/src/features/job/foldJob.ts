import { listIn, measuredValues, numberIn, textIn, type LiveEvent } from '@/api/live'
import type { JobDetail, Measured } from '@/api/types'
import type { LivePoint } from '@/features/charts/curves'
import { foldSummary } from '@/features/run/foldSummary'
import { moment } from '@/shared/format'

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
