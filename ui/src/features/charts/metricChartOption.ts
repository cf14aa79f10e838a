import type { CustomSeriesOption, LineSeriesOption, ScatterSeriesOption } from 'echarts/charts'
import type { GridComponentOption } from 'echarts/components'
import type { ComposeOption } from 'echarts/core'

import { formatBytes, formatNumber, formatPercent } from '@/shared/format'

import type { ChartTheme } from './chartTheme'
import { smooth, type Curve, type XAxis } from './curves'

export type MetricChartOption = ComposeOption<
  LineSeriesOption | ScatterSeriesOption | CustomSeriesOption | GridComponentOption
>

export type Unit = 'plain' | 'percent' | 'bytes'

export interface MetricChart {
  curves: readonly Curve[]
  /** Colour of each curve, by key. */
  colors: ReadonlyMap<string, string>
  x: XAxis
  range: [number, number] | null
  logScale: boolean
  /** 0 (none) to 0.99. */
  smoothing: number
  unit: Unit
  /** Keys that are measured on the right axis. */
  right: ReadonlySet<string>
}

/** Where an axis of infinite length is cut off. */
const FURTHEST = Number.MAX_VALUE / 8

/** What of a value a scale can show. */
type Drawable = (value: number | null) => number | null

export function formatUnit(value: number | null, unit: Unit): string {
  return unit === 'bytes' ? formatBytes(value) : unit === 'percent' ? formatPercent(value) : formatNumber(value)
}

/** Curves with bands, gaps and marks. Names, crosshair and values are the page's: they are text there and nothing else. */
export function metricChartOption(chart: MetricChart, theme: ChartTheme): MetricChartOption {
  const { curves, x, range, logScale, unit } = chart
  const label = { color: theme.faint, fontSize: 11, fontFamily: theme.font }
  const hasRight = curves.some((one) => chart.right.has(one.key))
  const isLog = {
    left: logScale && hasLogarithm(curves.filter((one) => !chart.right.has(one.key))),
    right: logScale && hasLogarithm(curves.filter((one) => chart.right.has(one.key))),
  }
  const isEndless = {
    left: !hasLength(curves.filter((one) => !chart.right.has(one.key))),
    right: !hasLength(curves.filter((one) => chart.right.has(one.key))),
  }
  const drawableOn = (side: 'left' | 'right'): Drawable => (value) => {
    if (value === null || (isLog[side] && value <= 0)) return null
    return isEndless[side] && !isLog[side] ? Math.min(FURTHEST, Math.max(-FURTHEST, value)) : value
  }
  const yAxis = (side: 'left' | 'right'): object => ({
    type: isLog[side] ? 'log' : 'value',
    position: side,
    scale: unit !== 'percent',
    ...(unit === 'percent' ? { min: 0, max: (extent: { max: number }): number => Math.max(100, extent.max) } : {}),
    ...(unit === 'bytes' ? { min: 0 } : {}),
    axisLabel: { ...label, formatter: (value: number): string => formatUnit(value, unit), hideOverlap: true },
    axisLine: { show: false },
    splitLine: side === 'left' ? { lineStyle: { color: theme.line } } : { show: false },
  })
  return {
    animation: false,
    textStyle: { fontFamily: theme.font },
    grid: { left: 8, right: hasRight ? 8 : 16, top: 12, bottom: 6, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
    xAxis: {
      type: x === 'time' ? 'time' : 'value',
      ...extentOf(curves, range),
      axisLabel: { ...label, hideOverlap: true, ...(x === 'step' ? { formatter: (value: number): string => stepLabel(value) } : {}) },
      axisLine: { onZero: false, lineStyle: { color: theme.line } },
      axisTick: { lineStyle: { color: theme.line } },
      splitLine: { show: false },
      ...(x === 'step' ? { minInterval: 1 } : {}),
    },
    yAxis: hasRight ? [yAxis('left'), yAxis('right')] : [yAxis('left')],
    series: curves.flatMap((curve, i) => seriesOf(curve, i, chart, theme, drawableOn(chart.right.has(curve.key) ? 'right' : 'left'))),
  }
}

/** Whether a number holds the way from the lowest value to the highest: on an axis of infinite length nothing is drawn at all. */
function hasLength(curves: readonly Curve[]): boolean {
  let low = Infinity
  let high = -Infinity
  for (const curve of curves) {
    for (const values of [curve.y, curve.min, curve.max]) {
      for (const value of values) {
        if (value !== null && value < low) low = value
        if (value !== null && value > high) high = value
      }
    }
  }
  return high - low <= Number.MAX_VALUE / 2
}

/** A scale on which nothing could be drawn stays as it is. */
function hasLogarithm(curves: readonly Curve[]): boolean {
  return curves.length === 0 || curves.some((one) => one.y.some((value) => value !== null && value > 0))
}

/** A lone point stands in the middle: an axis without length shows nothing. */
function extentOf(curves: readonly Curve[], range: [number, number] | null): { min: number | 'dataMin'; max: number | 'dataMax' } {
  if (range) return { min: range[0], max: range[1] }
  const all = curves.flatMap((curve) => [...curve.x.slice(0, 1), ...curve.x.slice(-1), ...curve.notFinite.map((mark) => mark.x)])
  const [first] = all
  return first !== undefined && all.every((x) => x === first) ? { min: first - 1, max: first + 1 } : { min: 'dataMin', max: 'dataMax' }
}

const stepLabel = (value: number): string => (Number.isInteger(value) ? value.toLocaleString('en-US') : '')

type Drawn = LineSeriesOption | ScatterSeriesOption | CustomSeriesOption

function seriesOf(curve: Curve, index: number, chart: MetricChart, theme: ChartTheme, drawable: Drawable): Drawn[] {
  const color = chart.colors.get(curve.key) ?? theme.ink
  const yAxisIndex = chart.right.has(curve.key) ? 1 : 0
  const line = (id: string, values: readonly (number | null)[], opacity: number, width: number): LineSeriesOption => ({
    type: 'line',
    id: `${index}:${id}`,
    yAxisIndex,
    dimensions: ['x', 'y'],
    data: pairs(curve.x, values, drawable),
    // A symbol per point, even an invisible one, costs ten times what the line costs.
    showSymbol: false,
    connectNulls: false,
    silent: true,
    lineStyle: { color, width, opacity },
    itemStyle: { color, opacity },
    emphasis: { disabled: true },
    z: id === 'raw' ? 2 : 3,
  })
  const drawn: Drawn[] = []
  if (curve.min.length > 0) drawn.push(band(curve, index, color, yAxisIndex, drawable))
  if (chart.smoothing > 0) {
    drawn.push(line('raw', curve.y, 0.28, 1))
    drawn.push(line('smooth', smooth(curve.y, chart.smoothing), 1, 1.75))
  } else {
    drawn.push(line('raw', curve.y, 1, 1.75))
  }
  const lone = lonePoints(curve.y)
  if (lone.length > 0) drawn.push(lonelyDots(curve, lone, index, color, yAxisIndex, drawable))
  if (curve.notFinite.length > 0) drawn.push(notFiniteMarks(curve, index, color, yAxisIndex, theme, drawable))
  return drawn
}

/** x and y in turn, NaN for a gap: ECharts takes numbers in a row without copying and looking at each pair. */
function pairs(x: readonly number[], y: readonly (number | null)[], drawable: Drawable): LineSeriesOption['data'] {
  const flat = new Float64Array(x.length * 2)
  for (let i = 0; i < x.length; i += 1) {
    flat[2 * i] = x[i] ?? Number.NaN
    flat[2 * i + 1] = drawable(y[i] ?? null) ?? Number.NaN
  }
  // Its types know only lists.
  // eslint-disable-next-line @typescript-eslint/consistent-type-assertions
  return flat as unknown as LineSeriesOption['data']
}

/** Indexes of the points with a gap on either side: no line shows them. */
function lonePoints(values: readonly (number | null)[]): number[] {
  return values.flatMap((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []))
}

function lonelyDots(
  curve: Curve, lone: readonly number[], index: number, color: string, yAxisIndex: number, drawable: Drawable,
): ScatterSeriesOption {
  return {
    type: 'scatter',
    id: `${index}:lone`,
    yAxisIndex,
    data: lone.map((i) => [curve.x[i] ?? null, drawable(curve.y[i] ?? null)]),
    symbol: 'circle',
    symbolSize: 5,
    itemStyle: { color },
    silent: true,
    z: 3,
  }
}

/** The area between the extremes of each bucket, as one polygon per unbroken stretch. */
function band(curve: Curve, index: number, color: string, yAxisIndex: number, drawable: Drawable): CustomSeriesOption {
  const rows = curve.x.map((at, i) => [at, drawable(curve.min[i] ?? null), drawable(curve.max[i] ?? null)])
  return {
    type: 'custom',
    id: `${index}:band`,
    yAxisIndex,
    silent: true,
    z: 1,
    encode: { x: 0, y: [1, 2] },
    // One item draws all of it; these two tell the axes how far it reaches.
    data: extremes(rows),
    renderItem: (params, api) => {
      if (params.dataIndexInside !== 0) return null
      return {
        type: 'group',
        children: stretches(rows).map((stretch) => ({
          type: 'polygon' as const,
          shape: {
            points: [
              ...stretch.map(([at, , high]) => api.coord([at, high])),
              ...[...stretch].reverse().map(([at, low]) => api.coord([at, low])),
            ],
          },
          style: { fill: color, opacity: 0.14 },
        })),
      }
    },
    clip: true,
  }
}

function extremes(rows: readonly (number | null)[][]): (number | null)[][] {
  let low = Infinity
  let high = -Infinity
  for (const [, min, max] of rows) {
    if (typeof min === 'number' && min < low) low = min
    if (typeof max === 'number' && max > high) high = max
  }
  return low > high ? [] : [[rows[0]?.[0] ?? null, low, high], [rows.at(-1)?.[0] ?? null, low, high]]
}

function stretches(rows: readonly (number | null | undefined)[][]): [number, number, number][][] {
  const found: [number, number, number][][] = []
  let open: [number, number, number][] = []
  for (const [at, low, high] of rows) {
    if (typeof at === 'number' && typeof low === 'number' && typeof high === 'number') {
      open.push([at, low, high])
    } else if (open.length > 0) {
      found.push(open)
      open = []
    }
  }
  if (open.length > 0) found.push(open)
  return found
}

/** Values that cannot be drawn stand where the curve last was. */
function notFiniteMarks(
  curve: Curve, index: number, color: string, yAxisIndex: number, theme: ChartTheme, drawable: Drawable,
): ScatterSeriesOption {
  const level = (x: number): number => {
    let found: number | null = null
    for (let i = 0; i < curve.x.length; i += 1) {
      const y = drawable(curve.y[i] ?? null)
      if (y === null) continue
      if ((curve.x[i] ?? 0) > x && found !== null) break
      found = y
    }
    return found ?? 1
  }
  const marks = curve.notFinite.length > 200 ? curve.notFinite.slice(-200) : curve.notFinite
  return {
    type: 'scatter',
    id: `${index}:not-finite`,
    yAxisIndex,
    data: marks.map((mark) => [mark.x, level(mark.x)]),
    symbol: 'path://M0,2 L2,0 L5,3 L8,0 L10,2 L7,5 L10,8 L8,10 L5,7 L2,10 L0,8 L3,5 Z',
    symbolSize: 9,
    itemStyle: { color: theme.failed, borderColor: color, borderWidth: 0.5 },
    silent: true,
    z: 4,
  }
}
