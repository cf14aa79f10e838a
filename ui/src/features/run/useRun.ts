import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'

import { useApi } from '@/api/client'
import type { RunAnswer } from '@/api/types'
import { askAgain } from '@/shared/asking'
import { useLiveTopic } from '@/shared/live/useLive'
import { batchTopic, isNews } from '@/shared/live/topics'
import { isEnded } from '@/shared/status'
import { useThrottled } from '@/shared/throttle'

import { runQuery } from './runQuery'

const REFRESH_MS = 1000
const QUIET_REFRESH_MS = 15_000

/** The run, asked again when something happened to it or its jobs. */
export function useRun(batchId: Ref<string>) {
  const api = useApi()
  const queries = useQueryClient()
  const query = useQuery(computed(() => ({
    ...runQuery(api, batchId.value),
    // Silence becomes `disconnected` without any event.
    refetchInterval: askAgain<RunAnswer>(QUIET_REFRESH_MS, ({ run }) => !isEnded(run.status)),
  })))
  const refresh = useThrottled(() => void queries.invalidateQueries({ queryKey: ['run', batchId.value] }), REFRESH_MS)
  useLiveTopic(computed(() => batchTopic(batchId.value)), computed(() => query.data.value?.position ?? null), {
    events: (events) => {
      if (events.some((event) => isNews(event.kind))) refresh()
    },
    reset: refresh,
  })
  return { run: computed(() => query.data.value?.run ?? null), error: query.error, isLoading: query.isLoading, retry: () => void query.refetch() }
}
