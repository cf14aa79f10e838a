/** The frames of `/api/stream`. They come as text, so they get their type here, field by field. */
import type { components } from './schema'

export interface LiveEvent {
  position: number
  kind: string
  batch_id: string
  job_id: string | null
  attempt: number
  occurred_at: string
  data: Record<string, unknown>
}
export interface EventsFrame { position: number; events: LiveEvent[] }
export interface StatusFrame { position: number; lag_seconds: number; state: 'live' | 'behind' | 'unavailable' }
export type Measured = components['schemas']['JobSummary']['loss']

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

export function parseEvents(text: string): EventsFrame | null {
  const frame = parse(text)
  if (!frame || typeof frame['position'] !== 'number' || !Array.isArray(frame['events'])) return null
  return { position: frame['position'], events: frame['events'].flatMap((one: unknown) => liveEvent(one) ?? []) }
}

function liveEvent(value: unknown): LiveEvent | null {
  if (!isObject(value)) return null
  const { position, kind, batch_id, job_id, attempt, occurred_at, data } = value
  if (typeof position !== 'number' || typeof kind !== 'string' || typeof batch_id !== 'string') return null
  return {
    position, kind, batch_id,
    job_id: typeof job_id === 'string' ? job_id : null,
    attempt: typeof attempt === 'number' ? attempt : 1,
    occurred_at: typeof occurred_at === 'string' ? occurred_at : '',
    data: isObject(data) ? data : {},
  }
}

export function parseStatus(text: string): StatusFrame | null {
  const frame = parse(text)
  if (!frame || typeof frame['position'] !== 'number') return null
  const state = frame['state']
  return {
    position: frame['position'],
    lag_seconds: typeof frame['lag_seconds'] === 'number' ? frame['lag_seconds'] : 0,
    state: state === 'behind' || state === 'unavailable' ? state : 'live',
  }
}

export function parsePosition(text: string): number | null {
  const frame = parse(text)
  return frame && typeof frame['position'] === 'number' ? frame['position'] : null
}

/** The metrics of a `job_epoch`: numbers, or the three values that JSON has no token for. */
export function measuredValues(data: Record<string, unknown>): [string, Exclude<Measured, null>][] {
  const metrics = data['metrics']
  if (!isObject(metrics)) return []
  return Object.entries(metrics).flatMap(([key, value]): [string, Exclude<Measured, null>][] =>
    typeof value === 'number' || value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? [[key, value]] : [])
}

export const numberIn = (data: Record<string, unknown>, key: string): number | null =>
  typeof data[key] === 'number' ? (data[key] as number) : null

export const textIn = (data: Record<string, unknown>, key: string): string | null =>
  typeof data[key] === 'string' ? (data[key] as string) : null

export const listIn = (data: Record<string, unknown>, key: string): Record<string, unknown>[] => {
  const list = data[key]
  return Array.isArray(list) ? list.filter(isObject) : []
}
