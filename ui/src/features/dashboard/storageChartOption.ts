import type { LineSeriesOption } from 'echarts/charts'
import type { GridComponentOption } from 'echarts/components'
import type { ComposeOption } from 'echarts/core'

import type { DashboardStorage } from '@/api/types'
import type { ChartTheme } from '@/features/charts/chartTheme'
import { formatUsdTick } from '@/shared/format'

import { bucketLabel, nextDay } from './days'

export type StorageChartOption = ComposeOption<LineSeriesOption | GridComponentOption>

/** A point of the lines: from 0 at the left edge, then one at the end of each bucket. `at`: how many buckets lie before it. */
export interface StorageLevel { at: number; usdMin: number; usdMax: number; bytes: number; bytesAdded: number; lastDay: string | null; nRuns: number }

export function storageLevels({ points }: DashboardStorage): StorageLevel[] {
  if (points.length === 0) return []
  return [
    { at: 0, usdMin: 0, usdMax: 0, bytes: 0, bytesAdded: 0, lastDay: null, nRuns: 0 },
    ...points.map((point, i) => ({
      at: i + 1, usdMin: point.usd_min, usdMax: point.usd_max, bytes: point.bytes, bytesAdded: point.bytes_added, lastDay: point.last_day, nRuns: point.n_runs,
    })),
  ]
}

/** First days of the buckets, which are those of the chart of what was spent. */
export function firstDays({ first_day, points }: DashboardStorage): string[] {
  return points.map((point, i) => {
    const before = points[i - 1]
    return before ? nextDay(before.last_day) : (first_day ?? point.last_day)
  })
}

export const storageColors = (theme: ChartTheme): { min: string; max: string } => ({ min: theme.palette[3] ?? theme.ink, max: theme.palette[2] ?? theme.ink })

/** Two lines, and the area between them: what keeping would cost in the coldest and in the warmest tier. */
export function storageChartOption(storage: DashboardStorage, theme: ChartTheme): StorageChartOption {
  const label = { color: theme.faint, fontSize: 11, fontFamily: theme.font }
  const colors = storageColors(theme)
  const levels = storageLevels(storage)
  const line = (id: string, color: string, data: [number, number][], more: Partial<LineSeriesOption>): LineSeriesOption => ({
    type: 'line', id, xAxisIndex: 0, data, silent: true, showSymbol: false, lineStyle: { color, width: 1.75 }, itemStyle: { color }, emphasis: { disabled: true }, ...more,
  })
  return {
    animation: false,
    textStyle: { fontFamily: theme.font },
    grid: { left: 4, right: 14, top: 12, bottom: 4, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
    xAxis: [
      // The lines run from edge to edge of the buckets; the buckets have their names below, as under the bars of what was spent.
      { type: 'value', show: false, min: 0, max: Math.max(1, levels.length - 1), position: 'bottom' },
      {
        type: 'category',
        position: 'bottom',
        data: firstDays(storage).map((day) => bucketLabel(storage.unit, day)),
        axisLabel: { ...label, hideOverlap: true },
        axisLine: { lineStyle: { color: theme.line } },
        axisTick: { show: false },
      },
    ],
    yAxis: {
      type: 'value',
      min: 0,
      axisLabel: { ...label, formatter: (value: number): string => formatUsdTick(value), hideOverlap: true },
      axisLine: { show: false },
      axisTick: { show: false },
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
