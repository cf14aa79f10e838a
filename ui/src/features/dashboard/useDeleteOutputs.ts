import { useMutation, useQuery } from '@tanstack/vue-query'
import { computed, ref, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { DeletionResult, PreviewResult } from '@/api/types'
import { askAgain } from '@/shared/asking'

import { newId } from './newId'

/**
 * What deleting these outputs would delete now, and deleting them. One command for one opening of the dialog: pressing
 * again after a lost answer, or twice, does nothing twice.
 */
export function useDeleteOutputs(
  batchIds: Readonly<Ref<readonly string[]>>, asUser: Readonly<Ref<string | null>>, isOpen: Readonly<Ref<boolean>>,
  onDone: (result: DeletionResult) => void,
) {
  const api = useApi()
  let commandId = newId()
  const opening = ref(0)
  const preview = useQuery(computed(() => ({
    queryKey: ['preview', opening.value, asUser.value, ...batchIds.value],
    enabled: isOpen.value && batchIds.value.length > 0,
    queryFn: ({ signal }: { signal: AbortSignal }) => answer(api.POST('/api/outputs/deletions/preview', { body: { batch_ids: [...batchIds.value], as_user: asUser.value }, signal })),
    // A listing is of its moment: each opening of the dialog has its own.
    staleTime: Infinity,
    refetchInterval: askAgain<PreviewResult>(0, () => false),
    gcTime: 0,
  })))
  const command = useMutation({
    mutationFn: (confirm: string) => answer(api.POST('/api/outputs/deletions', { body: { batch_ids: [...batchIds.value], as_user: asUser.value, confirm, command_id: commandId } })),
    onSuccess: onDone,
  })
  watch(isOpen, (now) => {
    if (!now) return
    opening.value += 1
    commandId = newId()
    command.reset()
  }, { flush: 'sync' })
  return {
    data: computed(() => preview.data.value ?? null),
    error: preview.error,
    isLoading: preview.isLoading,
    retry: () => void preview.refetch(),
    submit: (confirm: string) => {
      if (!command.isPending.value) command.mutate(confirm)
    },
    isSubmitting: command.isPending,
    submitError: command.error,
  }
}
