import { computed, type WritableComputedRef } from 'vue'
import { useRoute, useRouter, type LocationQueryRaw } from 'vue-router'

import type { XAxis } from '@/features/charts/curves'

export interface ChartState {
  /** Null: the page's own choice (train and val). */
  keys: string[] | null
  x: XAxis
  log: boolean
  smoothing: number
  range: [number, number] | null
  stitched: boolean
}

/** How the curves are looked at lives in the address: a link shows the same picture. */
export function useChartState(): WritableComputedRef<ChartState> {
  const route = useRoute()
  const router = useRouter()
  return computed({
    get: (): ChartState => {
      const { query } = route
      const from = number(query['from'])
      const to = number(query['to'])
      const metric = [query['metric'] ?? []].flat().filter((one): one is string => typeof one === 'string')
      return {
        keys: metric.length > 0 ? metric : null,
        x: query['x'] === 'time' ? 'time' : 'step',
        log: query['y'] === 'log',
        smoothing: Math.min(0.99, Math.max(0, number(query['smooth']) ?? 0)),
        range: from !== null && to !== null && to > from ? [from, to] : null,
        stitched: query['attempts'] !== 'all',
      }
    },
    set: (next: ChartState) => {
      const query: LocationQueryRaw = {
        ...route.query,
        metric: next.keys ?? undefined,
        x: next.x === 'time' ? 'time' : undefined,
        y: next.log ? 'log' : undefined,
        smooth: next.smoothing > 0 ? String(next.smoothing) : undefined,
        from: next.range ? String(next.range[0]) : undefined,
        to: next.range ? String(next.range[1]) : undefined,
        attempts: next.stitched ? undefined : 'all',
      }
      void router.replace({ query })
    },
  })
}

function number(value: unknown): number | null {
  if (typeof value !== 'string' || value.trim() === '') return null
  const parsed = Number(value)
  return Number.isFinite(parsed) ? parsed : null
}
