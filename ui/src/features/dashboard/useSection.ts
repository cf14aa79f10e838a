import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, shallowRef, watch, type ComputedRef, type Ref } from 'vue'

import { toApiError } from '@/api/problem'
import { askAgain } from '@/shared/asking'

/** A part of the page that loads, fails and changes by itself. */
export interface Section<T> {
  data: ComputedRef<T | null>
  error: Readonly<Ref<unknown>>
  /** There is nothing to show yet. */
  isLoading: Readonly<Ref<boolean>>
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
  /** Stays while it is asked again, until there is an answer: nothing flickers between a notice and old figures. */
  const failed = shallowRef<unknown>(null)
  watch([query.error, query.data, query.isPlaceholderData], ([error, data, isOlder]) => {
    if (error !== null) failed.value = error
    else if (data !== undefined && !isOlder) failed.value = null
  }, { immediate: true })
  // Another question may not be refused.
  watch(key, () => {
    const { status } = toApiError(failed.value)
    if (failed.value !== null && status > 0 && status < 500) failed.value = null
  })
  return {
    data: computed(() => (failed.value !== null && query.isPlaceholderData.value ? null : (query.data.value ?? null))),
    error: failed,
    isLoading: computed(() => query.isLoading.value && failed.value === null),
    isChanging: query.isPlaceholderData,
    retry: () => void query.refetch(),
  }
}
