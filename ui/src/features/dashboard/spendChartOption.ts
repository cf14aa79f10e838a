import type { BarSeriesOption } from 'echarts/charts'
import type { GridComponentOption } from 'echarts/components'
import type { ComposeOption } from 'echarts/core'

import type { DashboardSpend } from '@/api/types'
import type { ChartTheme } from '@/features/charts/chartTheme'
import { formatUsdTick } from '@/shared/format'

import { bucketLabel } from './days'

export type SpendChartOption = ComposeOption<BarSeriesOption | GridComponentOption>

export const spendColors = (theme: ChartTheme): { spent: string; wasted: string } => ({ spent: theme.palette[0] ?? theme.ink, wasted: theme.failed })

/** A bar per bucket, an empty one for a quiet bucket; what failed attempts cost stands on top. Words and figures are the page's. */
export function spendChartOption({ unit, buckets }: DashboardSpend, theme: ChartTheme): SpendChartOption {
  const label = { color: theme.faint, fontSize: 11, fontFamily: theme.font }
  const colors = spendColors(theme)
  const bar = (id: string, color: string, data: number[], opacity: number): BarSeriesOption => ({
    type: 'bar', id, stack: 'cost', silent: true, barMaxWidth: 38, barCategoryGap: '28%', data,
    itemStyle: { color, opacity }, emphasis: { disabled: true },
  })
  return {
    animation: false,
    textStyle: { fontFamily: theme.font },
    grid: { left: 4, right: 14, top: 12, bottom: 4, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
    xAxis: {
      type: 'category',
      data: buckets.map((bucket) => bucketLabel(unit, bucket.first_day)),
      axisLabel: { ...label, hideOverlap: true },
      axisLine: { lineStyle: { color: theme.line } },
      axisTick: { show: false },
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
      bar('spent', colors.spent, buckets.map((bucket) => Math.max(0, bucket.cost_usd - bucket.wasted_usd)), 1),
      bar('wasted', colors.wasted, buckets.map((bucket) => bucket.wasted_usd), 0.85),
    ],
  }
}

export const hasSpending = ({ buckets }: DashboardSpend): boolean => buckets.some((bucket) => bucket.cost_usd > 0)
