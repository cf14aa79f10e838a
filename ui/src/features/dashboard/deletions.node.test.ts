import { describe, expect, it } from 'vitest'

import type { Deletion } from '@/api/types'

import { dropped, fits, formatCountdown, graceLeft, graceWords, outcome, worst } from './deletions'

const now = Date.parse('2026-11-21T12:00:00Z')
const deletion = (over: Partial<Deletion> = {}): Deletion => ({
  deletion_id: 'd', batch_id: 'b', run_name: 'r', workspace: 'w', owner: 'ada', state: 'planned', requested_by: 'ada', as_user: null,
  requested_at: '2026-11-21T11:59:00Z', due_at: '2026-11-21T12:01:00Z', started_at: null, ended_at: null, location: 's3://b/r/', objects: 3, bytes: 2048,
  objects_deleted: 0, bytes_freed: 0, n_errors: 0, reason: null, may_cancel: true, ...over,
})

describe('the strip', () => {
  it('has the colour of the worst', () => {
    expect(worst({ failed: 1, in_flight: 3, deleted: 9 })).toBe('failed')
    expect(worst({ failed: 0, in_flight: 3, deleted: 9 })).toBe('running')
    expect(worst({ failed: 0, in_flight: 0, deleted: 9 })).toBe('succeeded')
    expect(worst({ failed: 0, in_flight: 0, deleted: 0 })).toBe('none')
  })

  it('counts down only while nothing has been touched', () => {
    expect(graceLeft(deletion(), now)).toBe(60)
    expect(graceLeft(deletion({ due_at: '2026-11-21T12:00:00.200Z' }), now)).toBe(1)
    expect(graceLeft(deletion({ due_at: '2026-11-21T11:59:59Z' }), now)).toBeNull()
    expect(graceLeft(deletion({ state: 'running' }), now)).toBeNull()
    expect(graceLeft(deletion({ due_at: null }), now)).toBeNull()
  })

  it.each([[5, '0:05'], [65, '1:05'], [3600, '1:00:00'], [7265, '2:01:05']])('%s s is shown as %s', (s, text) => expect(formatCountdown(s)).toBe(text))

  it('says what has come of each', () => {
    expect(outcome(deletion())).toBe('2 KiB in 3 objects')
    expect(outcome(deletion({ state: 'requested', objects: null, bytes: null }))).toBe('')
    expect(outcome(deletion({ state: 'running', objects_deleted: 1, bytes_freed: 1024 }))).toBe('1 of 3 objects · 1 KiB freed')
    expect(outcome(deletion({ state: 'deleted', objects_deleted: 3, bytes_freed: 2048 }))).toBe('2 KiB freed · 3 objects')
    expect(outcome(deletion({ state: 'deleted' }))).toBe('nothing was there')
    expect(outcome(deletion({ state: 'partial', bytes_freed: 1024, n_errors: 1, reason: 'AccessDenied' }))).toBe('1 KiB freed · 1 object could not be deleted · AccessDenied')
    expect(outcome(deletion({ state: 'failed', reason: 'no such bucket' }))).toBe('no such bucket')
    expect(outcome(deletion({ state: 'failed', reason: 'checked again: not_terminal' }))).toBe('when it was checked again: still going on')
    expect(outcome(deletion({ state: 'failed', reason: 'checked again: somebody_else' }))).toBe('checked again: somebody_else')
    expect(outcome(deletion({ state: 'cancelled' }))).toBe('nothing was touched')
  })
})

describe('the phrase', () => {
  it('fits only letter by letter', () => {
    expect(fits('delete 2 runs', 'delete 2 runs')).toBe(true)
    for (const typed of ['', 'delete 2 run', 'Delete 2 runs', ' delete 2 runs', 'delete 2 runs ']) expect(fits(typed, 'delete 2 runs')).toBe(false)
    expect(fits('', '')).toBe(false)
    expect(fits('', null)).toBe(false)
  })
})

describe('what was left alone', () => {
  it('is told by reason, each once, with what is known beyond it', () => {
    const found = dropped([
      { batch_id: 'a' }, { batch_id: 'b', skipped: 'refused', detail: 'shared with c' }, { batch_id: 'c', skipped: 'already_deleted' },
      { batch_id: 'd', skipped: 'already_deleted' }, { batch_id: 'e', skipped: 'refused', detail: 'a whole bucket' },
      { batch_id: 'f', skipped: 'refused', detail: 'shared with c' },
    ])
    expect(found.map(({ reason, ids, details }) => [reason, ids, details])).toEqual([
      ['refused', ['b', 'e', 'f'], ['shared with c', 'a whole bucket']], ['already_deleted', ['c', 'd'], []],
    ])
  })

  it.each([[1, '1 second'], [60, '60 seconds'], [300, '5 minutes'], [330, '5 m 30 s'], [86_400, '1 d 0 h']])('%s s to think again are %s', (s, words) => expect(graceWords(s)).toBe(words))
})
