import { describe, expect, it } from 'vitest'

import type { Series } from '@/api/types'

import { colorIndexes, type ChartTheme } from './chartTheme'
import { curveTable, nearest, smooth, stitch, toCurves, type LivePoint } from './curves'
import { metricChartOption, type MetricChart } from './metricChartOption'

const theme: ChartTheme = { ink: '#111', faint: '#777', line: '#ddd', ground: '#fff', failed: '#c00', font: 'sans', palette: ['#1', '#2', '#3'] }

const series = (over: Partial<Series> = {}): Series => ({
  key: 'train_loss', family: 'metric', n_points: 3, bucketed: false, attempt: [1, 1, 1], step: [1, 2, 3],
  time_ms: [1000, 2000, 3000], value: [3, 2, 1], min: [], max: [], last: [], not_finite: [], ...over,
})
const live = (step: number, value: number | string, over: Partial<LivePoint> = {}): LivePoint => ({
  position: 100 + step, attempt: 1, step, time_ms: step * 1000, values: [['train_loss', value]], ...over,
})
const all = { x: 'step', range: null, stitched: true } as const

const chart = (over: Partial<MetricChart>): MetricChart => ({
  curves: toCurves([series()], [], ['train_loss'], all), colors: new Map([['train_loss', '#1']]), x: 'step', range: null,
  logScale: false, smoothing: 0, unit: 'plain', right: new Set(), ...over,
})
const drawn = (over: Partial<MetricChart>) => {
  const found = metricChartOption(chart(over), theme).series
  return Array.isArray(found) ? found : []
}

describe('toCurves', () => {
  it('draws what arrived live behind what was fetched, late points in their place', () => {
    const [curve] = toCurves([series()], [live(5, 0.5), live(4, 0.7)], ['train_loss'], all)
    expect(curve?.x).toEqual([1, 2, 3, 4, 5])
    expect(curve?.y).toEqual([3, 2, 1, 0.7, 0.5])
  })

  it('keeps a gap a gap and NaN a mark', () => {
    const base = series({ value: [3, null, 1], not_finite: [{ step: 2, time_ms: 2000, value: 'NaN' }] })
    const [curve] = toCurves([base], [live(4, 'Infinity')], ['train_loss'], all)
    expect(curve?.y).toEqual([3, null, 1, null])
    expect(curve?.notFinite).toEqual([{ x: 2, value: 'NaN' }, { x: 4, value: 'Infinity' }])
  })

  it('breaks the line over a long silence of what comes at a steady pace', () => {
    const base = series({ attempt: [1, 1, 1, 1, 1], step: [1, 2, 3, 4, 5], time_ms: [0, 1000, 2000, 60_000, 61_000], value: [5, 4, 3, 2, 1] })
    const [curve] = toCurves([base], [], ['train_loss'], { ...all, x: 'time', steady: true })
    expect(curve?.y).toEqual([5, 4, 3, null, 2, 1])
    expect(toCurves([base], [], ['train_loss'], { ...all, x: 'time' })[0]?.y).toEqual([5, 4, 3, 2, 1])
  })

  it('takes a point that arrives to the end of its curve as it takes all of them together', () => {
    const base = series({ bucketed: true, min: [2, 1, 0], max: [4, 3, 2] })
    const whole = toCurves([base], [], ['train_loss'], all)[0]
    const [curve] = toCurves([base], [live(4, 0.7), live(5, 'NaN')], ['train_loss'], all)
    expect(curve).toEqual({ key: 'train_loss', x: [1, 2, 3, 4, 5], y: [3, 2, 1, 0.7, null], min: [2, 1, 0, 0.7, null], max: [4, 3, 2, 0.7, null], notFinite: [{ x: 5, value: 'NaN' }] })
    expect(toCurves([base], [live(3, 9)], ['train_loss'], all)[0]?.y).toEqual([3, 2, 1, 9])
    expect(toCurves([base], [live(2, 9, { attempt: 2 })], ['train_loss'], all)[0]?.y).toEqual([3, 9])
    expect(toCurves([base], [], ['train_loss'], all)[0]).toBe(whole)
  })

  it('changes nothing for what arrives outside of the range', () => {
    const base = series()
    const shown = toCurves([base], [], ['train_loss'], { ...all, range: [1, 2] })[0]
    expect(toCurves([base], [live(4, 1)], ['train_loss'], { ...all, range: [1, 2] })[0]).toBe(shown)
  })

  it('shows only the range', () => {
    const [curve] = toCurves([series()], [live(9, 9)], ['train_loss'], { ...all, range: [2, 3] })
    expect(curve?.x).toEqual([2, 3])
  })

  it('gives a metric that nobody has sent yet an empty curve', () => {
    expect(toCurves([], [], ['acc'], all)).toEqual([{ key: 'acc', x: [], y: [], min: [], max: [], notFinite: [] }])
  })

  it('draws repeated steps of a resume as the later attempt has them, or all of them when asked', () => {
    const base = series({ attempt: [1, 1, 1, 2, 2], step: [1, 2, 3, 2, 3], time_ms: [1, 2, 3, 4, 5], value: [5, 4, 3, 30, 20] })
    expect(toCurves([base], [], ['train_loss'], all)[0]?.y).toEqual([5, 30, 20])
    expect(toCurves([base], [], ['train_loss'], { ...all, stitched: false })[0]?.y).toEqual([5, 4, 3, null, 30, 20])
    expect(stitch([{ attempt: 1, step: 1 }])).toEqual([{ attempt: 1, step: 1 }])
  })
})

describe('smooth', () => {
  it('starts at the first value, keeps constants and skips gaps', () => {
    expect(smooth([4, 4, null, 4], 0.9).map((v) => (v === null ? null : Math.round(v * 1e9) / 1e9))).toEqual([4, 4, null, 4])
    expect(smooth([1, 3], 0.5)[1]).toBeCloseTo(7 / 3)
    expect(smooth([1, 2], 0)).toEqual([1, 2])
  })
})

it('nearest finds the closest x', () => {
  expect(nearest([], 3)).toBe(-1)
  expect([0, 1.4, 1.6, 99].map((x) => nearest([0, 1, 2, 5], x))).toEqual([0, 1, 2, 3])
})

describe('metricChartOption', () => {
  it('leaves out of a log scale what has no logarithm', () => {
    const curves = toCurves([series({ value: [3, 0, -1] })], [], ['train_loss'], all)
    expect(drawn({ curves, logScale: true })[0]?.data).toEqual(Float64Array.of(1, 3, 2, Number.NaN, 3, Number.NaN))
  })

  it('makes both scales logarithmic, but none on which nothing could be drawn', () => {
    const curves = toCurves([series(), series({ key: 'lr', value: [1, 0.1, 0] }), series({ key: 'reward', value: [-3, -2, 0] })], [], ['train_loss', 'lr'], all)
    const types = (right: string[], shown = curves): unknown => metricChartOption(chart({ curves: shown, logScale: true, right: new Set(right) }), theme).yAxis
    expect(types(['lr'])).toMatchObject([{ type: 'log' }, { type: 'log' }])
    const signed = toCurves([series(), series({ key: 'reward', value: [-3, -2, 0] })], [], ['train_loss', 'reward'], all)
    expect(types(['reward'], signed)).toMatchObject([{ type: 'log' }, { type: 'value' }])
    expect(drawn({ curves: signed, logScale: true, right: new Set(['reward']) })[1]?.data).toEqual(Float64Array.of(1, -3, 2, -2, 3, 0))
  })

  it('draws on an axis of a length, however far apart the values are', () => {
    const drawnAs = (value: number[]) => drawn({ curves: toCurves([series({ value })], [], ['train_loss'], all) })[0]?.data
    const far = Number.MAX_VALUE / 8
    expect(drawnAs([1e308, -1e308, 5])).toEqual(Float64Array.of(1, far, 2, -far, 3, 5))
    expect(drawnAs([1e308, 1.1e308, 1.2e308])).toEqual(Float64Array.of(1, 1e308, 2, 1.1e308, 3, 1.2e308))
  })

  it('keeps the raw line faint behind the smoothed one', () => {
    expect(drawn({ smoothing: 0.6 }).map((one) => one.id)).toEqual(['0:raw', '0:smooth'])
  })

  it('draws the extremes of thinned curves as a band and NaN as marks', () => {
    const curves = toCurves(
      [series({ bucketed: true, min: [1, 1, 0], max: [4, 3, 2], last: [3, 2, 1], not_finite: [{ step: 2, time_ms: 2, value: 'NaN' }] })],
      [], ['train_loss'], all)
    expect(drawn({ curves }).map((one) => one.id)).toEqual(['0:band', '0:raw', '0:not-finite'])
    expect(drawn({ curves })[2]?.data).toEqual([[2, 2]])
  })

  it('puts a lone point in the middle of an axis that has a length', () => {
    const curves = toCurves([series({ attempt: [1], step: [7], time_ms: [1], value: [3] })], [], ['train_loss'], all)
    expect(metricChartOption(chart({ curves }), theme).xAxis).toMatchObject({ min: 6, max: 8 })
    expect(metricChartOption(chart({ range: [2, 3] }), theme).xAxis).toMatchObject({ min: 2, max: 3 })
  })

  it('draws no symbol per point, and a dot only where a gap on either side hides a point', () => {
    const step = Array.from({ length: 2000 }, (_, i) => i)
    const value = step.map((i) => (i === 1000 || i === 1002 ? null : i))
    const curves = toCurves([series({ attempt: step.map(() => 1), step, time_ms: step, value })], [], ['train_loss'], all)
    const [line, dots] = drawn({ curves })
    expect(line).toMatchObject({ id: '0:raw', showSymbol: false })
    expect(dots).toMatchObject({ id: '0:lone', data: [[1001, 1001]] })
  })

  it('puts nothing that a stranger wrote into the chart', () => {
    const key = '<img src=x onerror=alert(1)>'
    const curves = toCurves([series({ key })], [], [key], all)
    expect(JSON.stringify(metricChartOption(chart({ curves }), theme))).not.toContain('onerror')
  })

  it('measures on the right what has another scale', () => {
    const option = metricChartOption(chart({ right: new Set(['train_loss']) }), theme)
    expect(option.yAxis).toHaveLength(2)
    expect(drawn({ right: new Set(['train_loss']) })[0]).toMatchObject({ yAxisIndex: 1 })
  })
})

it('a metric may be called like what every object has', () => {
  expect([...colorIndexes(['constructor', 'toString', '__proto__'], 8).values()].filter((at) => !(at >= 0 && at < 8))).toEqual([])
})

it('a metric keeps its colour, and two on one chart never share one while there are enough', () => {
  expect(colorIndexes(['val_loss', 'train_loss'], 8)).toEqual(new Map([['val_loss', 1], ['train_loss', 0]]))
  const alone = colorIndexes(['accuracy'], 8).get('accuracy')
  expect(colorIndexes(['train_loss', 'val_loss', 'accuracy'], 8).get('accuracy')).toBe(alone)
  expect(new Set(colorIndexes(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], 8).values()).size).toBe(8)
})

it('curveTable has a row for every x and names what is not finite', () => {
  const curves = toCurves([series({ value: [3, null, 1], not_finite: [{ step: 2, time_ms: 2000, value: 'NaN' }] })], [], ['train_loss'], all)
  expect(curveTable(curves, 'step')).toEqual([['step', 'train_loss'], [1, 3], [2, 'NaN'], [3, 1]])
})
