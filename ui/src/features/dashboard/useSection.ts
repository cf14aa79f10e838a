import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type ComputedRef, type Ref } from 'vue'

import { askAgain } from '@/shared/asking'

/** A part of the page that loads, fails and changes by itself. */
export interface Section<T> {
  data: ComputedRef<T | null>
  error: Ref<unknown>
  /** There is nothing to show yet. */
  isLoading: Ref<boolean>
  /** What is shown belongs to the question before this one. */
  isChanging: Ref<boolean>
  retry: () => void
}

/** The answer to `ask`, asked anew when `key` changes; until then the answer before stays. */
export function useSection<T>(key: ComputedRef<readonly unknown[]>, ask: (signal: AbortSignal) => Promise<T>): Section<T> {
  const query = useQuery<T>(computed(() => ({
    queryKey: key.value,
    queryFn: ({ signal }: { signal: AbortSignal }) => ask(signal),
    placeholderData: keepPreviousData,
    refetchInterval: askAgain<T>(0, () => false),
  })))
  return {
    data: computed(() => query.data.value ?? null),
    error: query.error,
    isLoading: query.isLoading,
    isChanging: query.isPlaceholderData,
    retry: () => void query.refetch(),
  }
}
