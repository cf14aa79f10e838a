import { useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { RunCosts } from '@/api/types'
import { askAgain } from '@/shared/asking'

/** A price is recorded without a word from the run. */
const QUIET_REFRESH_MS = 30_000

/** What the run cost, attempt by attempt. Its key lies below the run's, so that what asks for that one again asks for this, too. */
export function useCost(batchId: Ref<string>) {
  const api = useApi()
  const query = useQuery(computed(() => ({
    queryKey: ['run', batchId.value, 'cost'],
    queryFn: ({ signal }: { signal: AbortSignal }): Promise<RunCosts> =>
      answer(api.GET('/api/batches/{batch_id}/cost', { params: { path: { batch_id: batchId.value } }, signal })),
    refetchInterval: askAgain<RunCosts>(QUIET_REFRESH_MS, () => true),
  })))
  return { costs: computed(() => query.data.value ?? null), error: query.error, retry: () => void query.refetch() }
}
