import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { RunCosts } from '@/api/types'
import { askAgain } from '@/shared/asking'
import { useLiveTopic } from '@/shared/live/useLive'
import { batchTopic, isNews } from '@/shared/live/topics'
import { useThrottled } from '@/shared/throttle'

/** Rarer than the run itself: of thousands of attempts the answer is long, and takes work. */
const REFRESH_MS = 5000
/** A price is recorded without a word from the run. */
const QUIET_REFRESH_MS = 30_000

/** What the run cost, attempt by attempt; asked for while somebody looks, and again when something happened to the run. */
export function useCost(batchId: Ref<string>) {
  const api = useApi()
  const queries = useQueryClient()
  const query = useQuery(computed(() => ({
    queryKey: ['cost', batchId.value],
    queryFn: ({ signal }: { signal: AbortSignal }): Promise<RunCosts> =>
      answer(api.GET('/api/batches/{batch_id}/cost', { params: { path: { batch_id: batchId.value } }, signal })),
    refetchInterval: askAgain<RunCosts>(QUIET_REFRESH_MS, () => true),
  })))
  const refresh = useThrottled(() => void queries.invalidateQueries({ queryKey: ['cost', batchId.value] }), REFRESH_MS)
  useLiveTopic(computed(() => batchTopic(batchId.value)), computed(() => query.data.value?.position ?? null), {
    events: (events) => {
      if (events.some((event) => isNews(event.kind))) refresh()
    },
    reset: refresh,
  })
  return { costs: computed(() => query.data.value ?? null), error: query.error, retry: () => void query.refetch() }
}
