import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, shallowRef, watch, type Ref } from 'vue'

import { useApi } from '@/api/client'
import type { LiveEvent } from '@/api/live'
import type { JobAnswer, JobDetail } from '@/api/types'
import { jobQuery } from '@/features/run/runQuery'
import { askAgain } from '@/shared/asking'
import { useLiveTopic } from '@/shared/live/useLive'
import { isNews, jobTopic } from '@/shared/live/topics'
import { isEnded } from '@/shared/status'
import { usePaced, useThrottled } from '@/shared/throttle'

import { foldDetail } from './foldJob'

const REFRESH_MS = 1000
const QUIET_REFRESH_MS = 15_000
const KEPT = 5000
const SHOW_MS = 60

/** The job and its run. What arrives live shows at once; what happened to it is asked again. */
export function useJob(batchId: Ref<string>, jobId: Ref<string>, on: { events: (events: LiveEvent[]) => void; reset: () => void }) {
  const api = useApi()
  const queries = useQueryClient()
  const job = shallowRef<JobDetail | null>(null)
  let recent: LiveEvent[] = []

  const query = useQuery(computed(() => ({
    ...jobQuery(api, batchId.value, jobId.value),
    staleTime: 0,
    refetchInterval: askAgain<JobAnswer>(QUIET_REFRESH_MS, ({ job: now }) => !isEnded(now.status)),
  })))
  const position = computed(() => query.data.value?.position ?? null)
  const ofThisJob = (event: LiveEvent): boolean => event.job_id === jobId.value

  watch(query.data, (data) => {
    if (!data) {
      job.value = null
      recent = []
      return
    }
    recent = recent.filter((event) => event.position > data.position)
    job.value = recent.reduce(foldDetail, data.job)
  }, { immediate: true })

  let arrived: LiveEvent[] = []
  const show = usePaced(() => {
    const mine = arrived.filter((event) => ofThisJob(event) && event.position > (position.value ?? -1))
    arrived = []
    recent = [...recent, ...mine].slice(-KEPT)
    if (job.value && mine.length > 0) job.value = mine.reduce(foldDetail, job.value)
  }, SHOW_MS)

  const refresh = useThrottled(() => void queries.invalidateQueries({ queryKey: ['job', batchId.value, jobId.value] }), REFRESH_MS)

  useLiveTopic(computed(() => jobTopic(batchId.value, jobId.value)), position, {
    events: (events) => {
      arrived.push(...events)
      show()
      if (events.some((event) => isNews(event.kind))) refresh()
      on.events(events)
    },
    reset: () => {
      refresh()
      on.reset()
    },
  })

  return { job, run: computed(() => query.data.value?.run ?? null), error: query.error, isLoading: query.isLoading, retry: () => void query.refetch() }
}
