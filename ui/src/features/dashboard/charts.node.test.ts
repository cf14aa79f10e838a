import { describe, expect, it } from 'vitest'

import type { DashboardStorage } from '@/api/types'
import type { ChartTheme } from '@/features/charts/chartTheme'

import { spanWords } from './days'
import { hasSpending, spendChartOption } from './spendChartOption'
import { firstDays, hasStorage, storageChartOption, storageLevels } from './storageChartOption'

const theme: ChartTheme = { ink: '#111', faint: '#777', line: '#ddd', ground: '#fff', failed: '#c00', font: 'sans', palette: ['#1', '#2', '#3', '#4'] }
const bucket = (first_day: string, cost_usd = 0, wasted_usd = 0, last_day = first_day) => ({ first_day, last_day, cost_usd, wasted_usd, n_runs: 1 })
const seriesOf = (option: { series?: unknown }): { data: unknown[] }[] => (Array.isArray(option.series) ? option.series : [])

describe('spendChartOption', () => {
  it('keeps an empty bucket a bucket and puts the wasted part on top of the rest', () => {
    const option = spendChartOption({ position: 1, unit: 'day', buckets: [bucket('2026-11-01', 10, 4), bucket('2026-11-02'), bucket('2026-11-03', 1)] }, theme)
    expect(seriesOf(option).map((one) => one.data)).toEqual([[6, 0, 1], [4, 0, 0]])
    expect(option.xAxis).toMatchObject({ data: ['1 Nov', '2 Nov', '3 Nov'] })
  })

  it('names months by their names', () => {
    const option = spendChartOption({ position: 1, unit: 'month', buckets: [bucket('2026-01-01', 1, 0, '2026-01-31')] }, theme)
    expect(option.xAxis).toMatchObject({ data: ['Jan 2026'] })
  })

  it('never moves by itself', () => expect(spendChartOption({ position: 1, unit: 'day', buckets: [] }, theme).animation).toBe(false))

  it('says when there is nothing to draw', () => {
    expect(hasSpending({ position: 1, unit: 'day', buckets: [bucket('2026-11-01')] })).toBe(false)
    expect(hasSpending({ position: 1, unit: 'day', buckets: [bucket('2026-11-01', 0.01)] })).toBe(true)
  })
})

describe('storageChartOption', () => {
  const rates = { min_usd: 0.05, infrequent_usd: 0.15, max_usd: 0.28 }
  const storage = (over: Partial<DashboardStorage> = {}): DashboardStorage => ({
    position: 1, unit: 'day', first_day: '2026-11-01', rates,
    points: [
      { last_day: '2026-11-01', bytes_added: 0, bytes: 0, usd_min: 0, usd_max: 0, n_runs: 0 },
      { last_day: '2026-11-02', bytes_added: 5, bytes: 5, usd_min: 1, usd_max: 6, n_runs: 2 },
    ], ...over,
  })

  it('begins with 0 at the left edge, each point at the end of its bucket', () => {
    expect(storageLevels(storage()).map(({ at, usdMin, usdMax }) => [at, usdMin, usdMax])).toEqual([[0, 0, 0], [1, 0, 0], [2, 1, 6]])
  })

  it('draws the upper line on top of the lower one', () => {
    const data = seriesOf(storageChartOption(storage(), theme)).map((one) => one.data.map((point) => (Array.isArray(point) ? point[1] : null)))
    expect(data).toEqual([[0, 0, 1], [0, 0, 5]])
  })

  it('names its buckets as the chart of what was spent does', () => {
    const point = (last_day: string) => ({ last_day, bytes_added: 0, bytes: 0, usd_min: 0, usd_max: 0, n_runs: 0 })
    const months = [['2026-10-01', '2026-10-31'], ['2026-11-01', '2026-11-30']] as const
    const points = months.map(([, last]) => point(last))
    const spent = spendChartOption({ position: 1, unit: 'month', buckets: months.map(([first, last]) => bucket(first, 0, 0, last)) }, theme)
    const stored = storageChartOption(storage({ unit: 'month', first_day: '2026-10-01', points }), theme)
    expect(spent.xAxis).toMatchObject({ data: ['Oct 2026', 'Nov 2026'] })
    expect(stored.xAxis).toMatchObject([{ min: 0, max: 2 }, { data: ['Oct 2026', 'Nov 2026'] }])
    expect(firstDays(storage({ first_day: '2026-11-24', points: [point('2026-11-30'), point('2026-12-06')] }))).toEqual(['2026-11-24', '2026-12-01'])
  })

  it('has nothing to draw without runs, and without bytes', () => {
    expect(storageLevels(storage({ points: [], first_day: null }))).toEqual([])
    expect(hasStorage(storageLevels(storage({ points: storage().points.slice(0, 1) })))).toBe(false)
    expect(hasStorage(storageLevels(storage()))).toBe(true)
  })
})

describe('spanWords', () => {
  it.each([
    ['2026-11-02', '2026-11-02', '2 Nov 2026'], ['2026-11-02', '2026-11-08', '2 – 8 Nov 2026'],
    ['2026-11-30', '2026-12-06', '30 Nov – 6 Dec 2026'], ['2025-12-29', '2026-01-04', '29 Dec 2025 – 4 Jan 2026'],
  ])('%s to %s reads %s', (first, last, words) => expect(spanWords(first, last)).toBe(words))
})
