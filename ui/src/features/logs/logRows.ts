import { numberIn, textIn, type LiveEvent } from '@/api/live'
import type { LogEntry } from '@/api/types'
import { moment } from '@/shared/format'

/** A line of the log, fetched or just arrived. `key` stays with the line. */
export interface LogRecord {
  key: string
  /** Null for a line that arrived live: only fetched lines can be paged from. */
  cursor: string | null
  job_id: string | null
  attempt: number
  line_no: number | null
  stream: string
  level: string | null
  line: string
  occurred_at: string
  missing_before: number
}

export type LogRow =
  | { kind: 'line'; key: string; record: LogRecord }
  | { kind: 'gap'; key: string; first: number; last: number }
  | { kind: 'attempt'; key: string; attempt: number }

export function fetchedRecord(entry: LogEntry): LogRecord {
  return { ...entry, key: entry.cursor }
}

export function liveRecord(event: LiveEvent): LogRecord {
  return {
    key: `live:${event.position}`, cursor: null, job_id: event.job_id, attempt: event.attempt,
    line_no: numberIn(event.data, 'line_no'), stream: textIn(event.data, 'stream') ?? 'log',
    level: textIn(event.data, 'level'), line: textIn(event.data, 'line') ?? '', occurred_at: event.occurred_at, missing_before: 0,
  }
}

/** Behind the lines that are there; a late line goes to the place that its number gives it, among other jobs its time. */
export function appendRecords(records: readonly LogRecord[], fresh: readonly LogRecord[]): LogRecord[] {
  const all = [...records]
  for (const record of fresh) {
    let at = all.length
    while (at > 0 && comesBefore(record, all[at - 1])) at -= 1
    all.splice(at, 0, record)
    closeGaps(all, at)
  }
  return all
}

function comesBefore(record: LogRecord, other: LogRecord | undefined): boolean {
  if (other === undefined) return false
  if (record.job_id !== other.job_id) return (moment(record.occurred_at) ?? 0) < (moment(other.occurred_at) ?? 0)
  return record.line_no !== null && other.line_no !== null && record.attempt === other.attempt && record.line_no < other.line_no
}

/** Says anew how many numbers are missing before the line at `at` and before the one behind it. */
function closeGaps(all: LogRecord[], at: number): void {
  for (const i of [at, at + 1]) {
    const before = all[i - 1]
    const here = all[i]
    if (!before || !here || before.line_no === null || here.line_no === null) continue
    if (before.attempt !== here.attempt || before.job_id !== here.job_id) continue
    all[i] = { ...here, missing_before: Math.max(0, here.line_no - before.line_no - 1) }
  }
}

/** What stands on screen: lines, the gaps between them, and where a new attempt begins. */
export function logRows(records: readonly LogRecord[], marks: boolean): LogRow[] {
  const rows: LogRow[] = []
  let attempt: number | null = null
  for (const record of records) {
    if (marks && attempt !== null && record.attempt !== attempt) rows.push({ kind: 'attempt', key: `attempt:${record.key}`, attempt: record.attempt })
    attempt = record.attempt
    if (marks && record.missing_before > 0 && record.line_no !== null) {
      rows.push({ kind: 'gap', key: `gap:${record.key}`, first: record.line_no - record.missing_before, last: record.line_no - 1 })
    }
    rows.push({ kind: 'line', key: record.key, record })
  }
  return rows
}

export type LevelClass = 'error' | 'warning' | 'info' | 'debug'

/** The four families that the filter offers and the gutter colours. */
export function levelClass(record: Pick<LogRecord, 'level' | 'stream'>): LevelClass | null {
  switch (record.level?.toLowerCase()) {
    case 'critical': case 'fatal': case 'error': case 'err': return 'error'
    case 'warning': case 'warn': return 'warning'
    case 'info': case 'notice': return 'info'
    case 'debug': case 'trace': return 'debug'
    default: return null
  }
}

/** The words that senders use for a family; the server compares levels without regard to letter case. */
export const LEVEL_WORDS: Readonly<Record<LevelClass, readonly string[]>> = {
  error: ['error', 'critical', 'fatal', 'err'], warning: ['warning', 'warn'], info: ['info', 'notice'], debug: ['debug', 'trace'],
}

/** Whether a live line passes the filter that the server applied to the fetched ones. */
export function passes(record: LogRecord, levels: readonly LevelClass[], search: string): boolean {
  const level = levelClass(record)
  if (levels.length > 0 && (level === null || !levels.includes(level))) return false
  return search === '' || record.line.toLowerCase().includes(search.toLowerCase())
}

/** The text cut where the search matches; odd pieces are the matches. */
export function splitMatches(text: string, search: string): string[] {
  if (search === '') return [text]
  const pieces: string[] = []
  const lower = text.toLowerCase()
  const needle = search.toLowerCase()
  // Some letters change their length in lower case: then nothing is marked rather than the wrong part.
  if (lower.length !== text.length) return [text]
  let from = 0
  for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, from)) {
    pieces.push(text.slice(from, at), text.slice(at, at + needle.length))
    from = at + needle.length
  }
  pieces.push(text.slice(from))
  return pieces
}
