import { describe, expect, it } from 'vitest'

import { appendRecords, levelClass, logRows, passes, splitMatches, type LogRecord } from './logRows'

const line = (line_no: number | null, over: Partial<LogRecord> = {}): LogRecord => ({
  key: `k${line_no}`, cursor: null, job_id: 'j', attempt: 1, line_no, stream: 'stdout', level: null, line: `line ${line_no}`,
  occurred_at: '2026-11-21T00:00:00Z', missing_before: 0, ...over,
})

describe('appendRecords', () => {
  it('marks numbers that have not come, and closes the gap when they come late', () => {
    const open = appendRecords([line(1)], [line(4)])
    expect(logRows(open, true).map((row) => (row.kind === 'gap' ? `${row.first}–${row.last}` : row.kind))).toEqual(['line', '2–3', 'line'])
    const closed = appendRecords(open, [line(3), line(2)])
    expect(closed.map((one) => one.line_no)).toEqual([1, 2, 3, 4])
    expect(logRows(closed, true)).toHaveLength(4)
  })

  it('never orders by time, and leaves senders without numbers as they came', () => {
    const all = appendRecords([], [line(null, { occurred_at: '2026-11-21T00:00:09Z', key: 'a' }), line(null, { key: 'b' })])
    expect(all.map((one) => one.key)).toEqual(['a', 'b'])
  })

  it('puts the late line of another job where its time belongs', () => {
    const at = (second: number, job_id: string): LogRecord => line(second, { job_id, key: `${job_id}${second}`, occurred_at: `2026-11-21T00:00:0${second}Z` })
    const all = appendRecords([at(1, 'a'), at(3, 'b'), at(5, 'a')], [at(4, 'c'), at(6, 'b')])
    expect(all.map((one) => one.key)).toEqual(['a1', 'b3', 'c4', 'a5', 'b6'])
  })

  it('begins numbers anew with an attempt, and says so', () => {
    const all = appendRecords([line(7)], [line(0, { attempt: 2 })])
    expect(logRows(all, true).map((row) => row.kind)).toEqual(['line', 'attempt', 'line'])
  })
})

describe('filter', () => {
  it('knows the families of levels', () => {
    expect(levelClass({ level: 'WARN', stream: 'log' })).toBe('warning')
    expect(levelClass({ level: null, stream: 'stderr' })).toBeNull()
    expect(passes(line(1, { level: 'ERROR' }), ['error'], 'LINE')).toBe(true)
    expect(passes(line(1), ['error'], '')).toBe(false)
  })
  it('marks matches without touching the text', () => {
    expect(splitMatches('Loss lossless', 'loss')).toEqual(['', 'Loss', ' ', 'loss', 'less'])
    expect(splitMatches('a.b', '.')).toEqual(['a', '.', 'b'])
    expect(splitMatches('İx', 'x')).toEqual(['İx'])
  })
})
