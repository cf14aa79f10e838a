import { useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, ref, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { Deletion, DeletionList } from '@/api/types'
import { askAgain } from '@/shared/asking'
import { useLiveTopic } from '@/shared/live/useLive'
import { useThrottled } from '@/shared/throttle'

const POLL_MS = 5000
const SOON_MS = 1000

/**
 * The reader's deletions: asked every five seconds while one is on its way, sooner where the stream tells of one.
 * `onChange` after a state has changed: the runs' figures are others then.
 */
export function useDeletions(after: Ref<number | null>, onChange: () => void) {
  const api = useApi()
  const queries = useQueryClient()
  const query = useQuery({
    queryKey: ['deletions'],
    queryFn: ({ signal }) => answer(api.GET('/api/dashboard/deletions', { params: { query: { after: after.value ?? undefined } }, signal })),
    refetchInterval: askAgain<DeletionList>(POLL_MS, ({ in_flight }) => in_flight > 0),
  })
  const data = computed(() => query.data.value ?? null)
  const refresh = (): void => {
    void queries.invalidateQueries({ queryKey: ['deletions'] })
    void queries.invalidateQueries({ queryKey: ['deletion'] })
  }
  const soon = useThrottled(refresh, SOON_MS)
  useLiveTopic(ref('dashboard'), computed(() => data.value?.position ?? null), {
    events: (events) => {
      if (events.some(({ kind }) => kind.startsWith('outputs_deletion_'))) soon()
    },
    reset: soon,
  })
  watch(() => data.value?.items.map((one) => `${one.deletion_id} ${one.state}`).join(), (_, before) => {
    if (before !== undefined) onChange()
  })
  const cancel = useMutation({
    mutationFn: (deletion: Deletion) => answer(api.DELETE('/api/outputs/deletions/{deletion_id}', { params: { path: { deletion_id: deletion.deletion_id } } })),
    onSuccess: ({ position }) => {
      if (position !== null) after.value = Math.max(after.value ?? 0, position)
    },
    onSettled: refresh,
  })

  return {
    data, error: query.error, isLoading: query.isLoading, refresh,
    cancel: (deletion: Deletion) => {
      if (!cancel.isPending.value) cancel.mutate(deletion)
    },
    cancelling: computed(() => (cancel.isPending.value ? (cancel.variables.value?.deletion_id ?? null) : null)),
    cancelError: cancel.error,
    /** Which it was that could not be cancelled. */
    notCancelled: computed(() => (cancel.error.value === null ? null : (cancel.variables.value?.deletion_id ?? null))),
  }
}
