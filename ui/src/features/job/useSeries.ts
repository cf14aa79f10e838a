import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, shallowRef, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { LiveEvent } from '@/api/live'
import type { LivePoint, XAxis } from '@/features/charts/curves'
import { usePaced, useThrottled } from '@/shared/throttle'

import { livePoint } from './foldJob'

/** Beyond this many live points the server is asked again, which thins them. */
const TAIL = 600
const REBASE_MS = 5000
const KEPT = 5000
const DRAW_MS = 120

export interface SeriesQuestion {
  batchId: string
  jobId: string
  keys: readonly string[]
  x: XAxis
  range: [number, number] | null
  enabled: boolean
}

/** Thinned curves from the server and, behind their log position, the points that arrived live. */
export function useSeries(question: Ref<SeriesQuestion>) {
  const api = useApi()
  const tail = shallowRef<LivePoint[]>([])
  let arrived: LivePoint[] = []
  const maxPoints = Math.min(2000, Math.max(500, Math.ceil(window.innerWidth / 500) * 500))

  const query = useQuery({
    queryKey: computed(() => ['series', question.value]),
    enabled: computed(() => question.value.enabled && question.value.keys.length > 0),
    placeholderData: keepPreviousData,
    gcTime: 0,
    staleTime: 0,
    queryFn: ({ signal }) => {
      const { batchId, jobId, keys, x, range } = question.value
      return answer(api.GET('/api/batches/{batch_id}/jobs/{job_id}/series', {
        params: {
          path: { batch_id: batchId, job_id: jobId },
          // A comma belongs to the name only where the parameter is repeated.
          query: { keys: keys.length === 1 ? [...keys, ...keys] : [...keys], max_points: maxPoints, x, from: range?.[0], to: range?.[1] },
        },
        signal,
      }))
    },
  })
  /** While other curves of this job are on their way the old ones stay; those of another job never do. */
  const series = computed(() => {
    const data = query.data.value
    return data && data.batch_id === question.value.batchId && data.job_id === question.value.jobId ? data.series : []
  })
  /** What arrived between asking and answering is kept, what the answer holds is dropped. */
  watch(() => query.data.value, (data) => {
    if (data && !query.isPlaceholderData.value) tail.value = tail.value.filter((point) => point.position > data.position)
  })
  watch(() => `${question.value.batchId}/${question.value.jobId}`, () => {
    tail.value = []
    arrived = []
  })

  const rebase = useThrottled(() => void query.refetch(), REBASE_MS)

  /** Drawing a curve costs many times what a point costs. */
  const draw = usePaced(() => {
    const known = query.data.value?.position ?? -1
    tail.value = [...tail.value, ...arrived.filter((point) => point.position > known)].slice(-KEPT)
    arrived = []
  }, DRAW_MS)

  function onEvents(events: readonly LiveEvent[]): void {
    const known = query.data.value?.position ?? -1
    const fresh = events.flatMap((event) => (event.position > known && event.job_id === question.value.jobId ? (livePoint(event) ?? []) : []))
    if (fresh.length === 0) return
    arrived.push(...fresh)
    draw()
    if (tail.value.length > TAIL && question.value.enabled) rebase()
  }

  return { series, tail, error: query.error, isLoading: query.isLoading, isFetching: query.isFetching, refetch: () => void query.refetch(), onEvents }
}
