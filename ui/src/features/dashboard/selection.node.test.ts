import { describe, expect, it } from 'vitest'

import type { DashboardRun } from '@/api/types'

import { kept, NOTHING, share, toggled, toggledAll, totals } from './selection'

const page = ['a', 'b', 'c', 'd', 'e']
const run = (over: Partial<DashboardRun> = {}): DashboardRun => ({
  batch_id: 'a', name: 'a', type: 'training', project: null, workspace: 'w', user: 'ada', cluster: null, status: 'succeeded', started_at: null, ended_at: null,
  elapsed_s: null, labels: [], output_dir: 's3://b/a/', bytes: 10, objects: 1, measured_at: null, cost_usd: null, wasted_usd: null,
  storage_usd_min: 1, storage_usd_max: 5, deleted_at: null, deletion_id: null, deletion_state: null, ...over,
})
const ids = (selection: { chosen: ReadonlySet<string> }): string[] => [...selection.chosen].sort()

describe('choosing runs', () => {
  it('takes one, and gives it back', () => {
    const one = toggled(NOTHING, page, 'b', false)
    expect(ids(one)).toEqual(['b'])
    expect(ids(toggled(one, page, 'b', false))).toEqual([])
  })

  it('takes a range in either direction, and gives a range back', () => {
    const first = toggled(NOTHING, page, 'd', false)
    const range = toggled(first, page, 'b', true)
    expect(ids(range)).toEqual(['b', 'c', 'd'])
    const off = toggled(range, page, 'd', false)
    expect(ids(toggled(off, page, 'c', true))).toEqual(['b'])
  })

  it('takes a lone run where the last one is no longer there', () => {
    expect(ids(toggled({ chosen: new Set(), anchor: 'gone' }, page, 'c', true))).toEqual(['c'])
    expect(toggled(NOTHING, page, 'gone', false)).toBe(NOTHING)
  })

  it('takes the whole page, and gives all of it back', () => {
    const all = toggledAll(toggled(NOTHING, page, 'a', false), page)
    expect(share(all, page)).toBe('all')
    expect(ids(toggledAll(all, page))).toEqual([])
    expect(share(NOTHING, [])).toBe('none')
  })

  it('forgets who is not in sight any more', () => {
    const all = toggledAll(NOTHING, page)
    expect(ids(kept(all, ['b', 'x']))).toEqual(['b'])
    expect(kept(all, page)).toBe(all)
  })
})

describe('what it would free', () => {
  it('counts what is there once, what nobody has measured, and where nothing is left', () => {
    const runs = [run(), run({ bytes: 20, storage_usd_min: 2, storage_usd_max: 9 }), run({ bytes: null, storage_usd_min: null, storage_usd_max: null }),
      run({ deleted_at: '2026-11-01T00:00:00Z', bytes: 0 }), run({ output_dir: null, bytes: null }), run({ deletion_state: 'running' })]
    expect(totals(runs)).toEqual({ n: 6, nSome: 3, bytes: 30, usdMin: 3, usdMax: 14, nUnmeasured: 1, nNothing: 3 })
  })
})
