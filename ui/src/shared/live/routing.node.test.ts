import { describe, expect, it } from 'vitest'

import { parseEvents, type LiveEvent } from '@/api/live'

import { route, startOf, type Subscription } from './routing'
import { isNews, topicNames } from './topics'

const event = (position: number, over: Partial<LiveEvent> = {}): LiveEvent => ({
  position, kind: 'job_epoch', batch_id: 'b', job_id: 'j', attempt: 1, occurred_at: '2026-11-21T00:00:00Z', data: {}, ...over,
})

function listener(topic: string, through: number | null): Subscription & { got: number[] } {
  const got: number[] = []
  return { topic, through, got, onEvents: (events) => got.push(...events.map((one) => one.position)), onReset: () => undefined }
}

describe('routing of the one stream', () => {
  it('gives a page only what is behind its own answer, once, although the stream was rewound for another page', () => {
    const early = listener('job:b/j', 10)
    const late = listener('job:b/j', 12)
    route([early, late], [event(9), event(11), event(12), event(13)], 13)
    route([early, late], [event(11), event(13), event(14)], 14)
    expect(early.got).toEqual([11, 12, 13, 14])
    expect(late.got).toEqual([13, 14])
  })

  it('starts where the furthest-behind page stands', () => {
    expect(startOf([{ through: 20 }, { through: 12 }, { through: null }], 15)).toBe(12)
    expect(startOf([{ through: 20 }], 15)).toBe(15)
    expect(startOf([{ through: null }], null)).toBeNull()
  })

  it('knows which topic names which event', () => {
    expect(topicNames('job:b/j', event(1))).toBe(true)
    expect(topicNames('job:b/other', event(1))).toBe(false)
    expect(topicNames('job:b/other', event(1, { job_id: null, kind: 'batch_done' }))).toBe(true)
    expect(topicNames('job:b/a/b', event(1, { job_id: 'a/b' }))).toBe(true)
    expect(topicNames('batch:b', event(1, { kind: 'log_line' }))).toBe(false)
    expect(topicNames('batch:b', event(1))).toBe(true)
    expect(topicNames('log:b', event(1, { kind: 'log_line' }))).toBe(true)
    expect(topicNames('log:b', event(1, { kind: 'log_line', batch_id: 'c' }))).toBe(false)
    expect(topicNames('log:b', event(1))).toBe(false)
    expect(topicNames('dashboard', event(1))).toBe(false)
    expect(topicNames('dashboard', event(1, { kind: 'job_done' }))).toBe(false)
    expect(topicNames('dashboard', event(1, { job_id: null, kind: 'batch_done' }))).toBe(true)
    expect(topicNames('dashboard', event(1, { job_id: null, kind: 'resource_snapshot' }))).toBe(false)
    expect(topicNames('dashboard', event(1, { job_id: null, kind: 'batch_heartbeat' }))).toBe(false)
  })

  it('takes a kind that it does not know for news', () => {
    expect(['job_done', 'a_kind_of_tomorrow'].map(isNews)).toEqual([true, true])
    expect(['job_epoch', 'log_line', 'resource_snapshot', 'batch_heartbeat'].map(isNews)).toEqual([false, false, false, false])
  })

  it('survives a frame that is not one', () => {
    expect(parseEvents('not json')).toBeNull()
    expect(parseEvents('{"position": 3, "events": [{"position": 1}, null]}')).toEqual({ position: 3, events: [] })
  })
})
