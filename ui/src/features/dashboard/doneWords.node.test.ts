import { describe, expect, it } from 'vitest'

import type { Deletion } from '@/api/types'

import { doneWords, queuedWords } from './doneWords'

const results = ['a', 'b', 'c'].map((id) => ({ batch_id: id, deletion_id: id }))
const taken = { outcome: 'accepted' as const, n_taken: 3, results }
const known = (...states: Deletion['state'][]) => states.map((state, i) => ({ deletion_id: 'abc'.charAt(i), state }))

describe('what became of a command', () => {
  it('says how long there is to think again while all of it waits', () => {
    expect(queuedWords({ ...taken, n_taken: 2 }, 60)).toBe('2 deletions are queued: the first object goes in 60 seconds, and until then each can be cancelled.')
    expect(queuedWords({ ...taken, results: [{ batch_id: 'a', due_at: new Date(2026, 10, 21, 14, 3, 9).toISOString() }] }, 60)).toContain('goes at 14:03:09, and')
    expect(queuedWords({ ...taken, n_taken: 1 }, 0)).toBe('1 deletion is queued.')
    expect(queuedWords({ ...taken, outcome: 'queued', n_taken: 1 }, 60)).toContain('has not answered yet')
    expect(queuedWords({ ...taken, n_taken: 0 }, 60)).toBe('No deletion was queued.')
    expect(doneWords(taken, 0, known('planned', 'requested'))).toEqual({ text: '3 deletions are queued.', tone: 'neutral' })
  })

  it('counts what has ended, and how', () => {
    expect(doneWords(taken, 60, known('deleted', 'running', 'planned'))).toEqual({ text: 'Of 3 deletions: 1 deleted, 2 still to end.', tone: 'neutral' })
    expect(doneWords(taken, 60, known('deleted', 'deleted', 'cancelled'))).toEqual({ text: '3 deletions have ended: 2 deleted, 1 cancelled.', tone: 'succeeded' })
    expect(doneWords(taken, 60, known('deleted', 'partial', 'failed'))).toEqual({ text: '3 deletions have ended: 1 deleted, 1 partly deleted, 1 failed.', tone: 'failed' })
    expect(doneWords(taken, 60, known('cancelled', 'cancelled', 'cancelled')).tone).toBe('neutral')
  })

  it('takes no other deletion for its own', () => {
    expect(doneWords({ ...taken, n_taken: 1, results: [] }, 0, known('failed')).text).toBe('1 deletion is queued.')
  })
})
