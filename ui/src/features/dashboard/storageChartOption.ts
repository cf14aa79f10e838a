import type { LineSeriesOption } from 'echarts/charts'
import type { GridComponentOption } from 'echarts/components'
import type { ComposeOption } from 'echarts/core'

import type { DashboardStorage } from '@/api/types'
import type { ChartTheme } from '@/features/charts/chartTheme'
import { formatUsdTick } from '@/shared/format'

import { DAY_MS, endOfDay, startOfDay } from './days'

export type StorageChartOption = ComposeOption<LineSeriesOption | GridComponentOption>

/** A point of the lines, from 0 at the left edge. */
export interface StorageLevel { at: number; usdMin: number; usdMax: number; bytes: number; bytesAdded: number; lastDay: string | null; nRuns: number }

export function storageLevels({ first_day, points }: DashboardStorage): StorageLevel[] {
  const [first] = points
  if (!first) return []
  const edge = first_day === null ? startOfDay(first.last_day) : startOfDay(first_day)
  return [
    { at: edge, usdMin: 0, usdMax: 0, bytes: 0, bytesAdded: 0, lastDay: null, nRuns: 0 },
    ...points.map((point) => ({
      at: Math.max(endOfDay(point.last_day), edge + DAY_MS), usdMin: point.usd_min, usdMax: point.usd_max, bytes: point.bytes,
      bytesAdded: point.bytes_added, lastDay: point.last_day, nRuns: point.n_runs,
    })),
  ]
}

export const storageColors = (theme: ChartTheme): { min: string; max: string } => ({ min: theme.palette[3] ?? theme.ink, max: theme.palette[2] ?? theme.ink })

/** Two lines, and the area between them: what keeping would cost in the coldest and in the warmest tier. */
export function storageChartOption(levels: readonly StorageLevel[], theme: ChartTheme): StorageChartOption {
  const label = { color: theme.faint, fontSize: 11, fontFamily: theme.font }
  const colors = storageColors(theme)
  const line = (id: string, color: string, data: [number, number][], more: Partial<LineSeriesOption>): LineSeriesOption => ({
    type: 'line', id, data, silent: true, showSymbol: false, lineStyle: { color, width: 1.75 }, itemStyle: { color }, emphasis: { disabled: true }, ...more,
  })
  return {
    animation: false,
    useUTC: true,
    textStyle: { fontFamily: theme.font },
    grid: { left: 4, right: 14, top: 12, bottom: 4, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
    xAxis: {
      type: 'time',
      min: 'dataMin',
      max: 'dataMax',
      minInterval: DAY_MS,
      axisLabel: { ...label, hideOverlap: true, formatter: { year: '{yyyy}', month: '{MMM} {yyyy}', day: '{d} {MMM}' } },
      axisLine: { lineStyle: { color: theme.line } },
      axisTick: { lineStyle: { color: theme.line } },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'value',
      min: 0,
      axisLabel: { ...label, formatter: (value: number): string => formatUsdTick(value), hideOverlap: true },
      axisLine: { show: false },
      splitNumber: 4,
      splitLine: { lineStyle: { color: theme.line } },
    },
    series: [
      line('min', colors.min, levels.map(({ at, usdMin }) => [at, usdMin]), { stack: 'range', z: 3 }),
      // Stacked on the lower line: drawn at the upper value, with the area down to the lower one.
      line('max', colors.max, levels.map(({ at, usdMin, usdMax }) => [at, Math.max(0, usdMax - usdMin)]), {
        stack: 'range', areaStyle: { color: colors.max, opacity: 0.16 }, z: 2,
      }),
    ],
  }
}

export const hasStorage = (levels: readonly StorageLevel[]): boolean => levels.some((level) => level.bytes > 0)
