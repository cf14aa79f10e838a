import type { Deletion, DeletionList, DeletionState, Skipped } from '@/api/types'
import { formatBytes, formatCount, formatDuration, moment } from '@/shared/format'

const IN_FLIGHT: ReadonlySet<string> = new Set(['requested', 'planned', 'running'])

export const isInFlight = (state: DeletionState | null): boolean => state !== null && IN_FLIGHT.has(state)

/** One word for the reader, and the status whose colour it has. */
export const STATE_WORDS: Readonly<Record<DeletionState, { word: string; status: string }>> = {
  requested: { word: 'waiting', status: 'queued' },
  planned: { word: 'waiting', status: 'queued' },
  running: { word: 'deleting', status: 'running' },
  deleted: { word: 'deleted', status: 'succeeded' },
  partial: { word: 'partly deleted', status: 'failed' },
  failed: { word: 'failed', status: 'failed' },
  cancelled: { word: 'cancelled', status: 'aborted' },
}

/** The colour of the strip: the worst that there is. */
export function worst({ failed, in_flight, deleted }: Pick<DeletionList, 'failed' | 'in_flight' | 'deleted'>): 'failed' | 'running' | 'succeeded' | 'none' {
  if (failed > 0) return 'failed'
  if (in_flight > 0) return 'running'
  return deleted > 0 ? 'succeeded' : 'none'
}

/** Whole seconds until the grace time ends; null: there is none, or it has ended. */
export function graceLeft({ state, due_at }: Pick<Deletion, 'state' | 'due_at'>, now: number): number | null {
  const due = moment(due_at)
  if (due === null || (state !== 'requested' && state !== 'planned')) return null
  const left = Math.ceil((due - now) / 1000)
  return left > 0 ? left : null
}

/** `0:42`, `1:05:00`: a countdown that does not change its width every second. */
export function formatCountdown(seconds: number): string {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = (value: number): string => String(value).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** What has come of it so far, in a few words. */
export function outcome(deletion: Deletion): string {
  const freed = `${formatBytes(deletion.bytes_freed)} freed`
  switch (deletion.state) {
    case 'deleted':
      return deletion.objects_deleted === 0 ? 'nothing was there' : `${freed} · ${nObjects(deletion.objects_deleted)}`
    case 'partial':
      return [freed, deletion.n_errors > 0 ? `${nObjects(deletion.n_errors)} could not be deleted` : '', deletion.reason === null ? '' : reasonWords(deletion.reason)].filter(Boolean).join(' · ')
    case 'failed':
      return deletion.reason === null ? 'it failed, and nobody has said why' : reasonWords(deletion.reason)
    case 'running':
      return deletion.objects === null ? freed : `${formatCount(deletion.objects_deleted)} of ${nObjects(deletion.objects)} · ${freed}`
    case 'cancelled':
      return 'nothing was touched'
    default:
      return deletion.bytes === null ? '' : `${formatBytes(deletion.bytes)} in ${nObjects(deletion.objects ?? 0)}`
  }
}

/** How long one may think again: `60 seconds`, `5 minutes`. */
export function graceWords(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} ${Math.round(seconds) === 1 ? 'second' : 'seconds'}`
  return seconds % 60 === 0 && seconds < 7200 ? `${seconds / 60} minutes` : formatDuration(seconds)
}

export const nObjects = (n: number): string => `${formatCount(n)} ${n === 1 ? 'object' : 'objects'}`
export const nRuns = (n: number): string => `${formatCount(n)} ${n === 1 ? 'run' : 'runs'}`

/** Why a run was left alone, behind "it …" or a count. */
export const SKIPPED_WORDS: Readonly<Record<Skipped, string>> = {
  not_found: 'not found, or not yours to delete',
  not_terminal: 'still going on',
  no_output_dir: 'without an output folder',
  already_deleted: 'already deleted',
  in_flight: 'already being deleted',
  refused: 'at an address that is refused',
  too_late: 'too late',
  unavailable: 'cannot be reached now',
}

const isSkipped = (code: string): code is Skipped => Object.hasOwn(SKIPPED_WORDS, code)

/** Why a deletion ended as it did, the codes of the service that deletes in words. The receipt's file keeps what it said. */
export function reasonWords(reason: string): string {
  const code = /^checked again: (\w+)$/.exec(reason)?.[1]
  return code !== undefined && isSkipped(code) ? `when it was checked again: ${SKIPPED_WORDS[code]}` : reason
}

/** `details`: what is known beyond the reason, each once. */
export interface Dropped { reason: Skipped; ids: string[]; details: string[] }

/** Those left alone, by why; the most frequent reason first. */
export function dropped(results: readonly { batch_id: string; skipped?: Skipped | null; detail?: string | null }[]): Dropped[] {
  const found = new Map<string, Dropped>()
  for (const { batch_id, skipped, detail } of results) {
    if (!skipped) continue
    const group = found.get(skipped) ?? { reason: skipped, ids: [], details: [] }
    group.ids.push(batch_id)
    if (detail && !group.details.includes(detail)) group.details.push(detail)
    found.set(skipped, group)
  }
  return [...found.values()].sort((a, b) => b.ids.length - a.ids.length)
}

/** Every letter counts: the button works for exactly this. */
export const fits = (typed: string, phrase: string | null): boolean => phrase !== null && phrase !== '' && typed === phrase
