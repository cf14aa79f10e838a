import { keepPreviousData, useInfiniteQuery, useQueryClient, type InfiniteData } from '@tanstack/vue-query'
import { computed, onScopeDispose, ref, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { RunList, RunSummary } from '@/api/types'
import { askAgain } from '@/shared/asking'
import { useLiveTopic } from '@/shared/live/useLive'
import { useThrottled } from '@/shared/throttle'

import type { RunFilters } from './runFilters'

const PAGE = 50
const REFRESH_MS = 2000
/** Silence becomes visible without any event: asked anew now and then. */
const QUIET_REFRESH_MS = 20_000

type Pages = InfiniteData<RunList, string | null>

/**
 * The runs that the filters name, the newest first, page by page. Rows that are on screen change in place;
 * new runs wait (`nWaiting`) until the reader asks for them, so that nothing jumps.
 */
export function useRunList(filters: Ref<RunFilters>) {
  const api = useApi()
  const queries = useQueryClient()
  const key = computed(() => ['runs', filters.value] as const)
  const nWaiting = ref(0)

  const page = (cursor: string | null, limit: number, signal?: AbortSignal): Promise<RunList> => {
    const { search, status, project, user, workspace } = filters.value
    const query = {
      search: search || undefined, status: [...status], project: project || undefined, user: user || undefined,
      workspace: workspace || undefined, limit, cursor: cursor ?? undefined,
    }
    return answer(api.GET('/api/batches', { params: { query }, signal }))
  }
  const list = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => page(pageParam, PAGE, signal),
    placeholderData: keepPreviousData,
    initialPageParam: firstPage(),
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    refetchInterval: askAgain(0, () => false),
  })
  const runs = computed<RunSummary[]>(() => unique((list.data.value?.pages ?? []).flatMap((one) => one.items)))
  const position = computed(() => list.data.value?.pages[0]?.position ?? null)

  /** One question for everything that may have changed; rows keep their places. */
  async function refresh(): Promise<void> {
    const asked = key.value
    const loaded = runs.value.length
    if (!list.data.value || list.isPlaceholderData.value) return
    const top = await page(null, Math.min(200, Math.max(PAGE, loaded))).catch(() => null)
    if (!top || asked !== key.value) return
    const fresh = new Map(top.items.map((run) => [run.batch_id, run]))
    const known = new Set(runs.value.map((run) => run.batch_id))
    const oldest = runs.value.at(-1)
    nWaiting.value = top.items.filter((run) => !known.has(run.batch_id) && (oldest === undefined || isNewer(run, oldest))).length
    queries.setQueryData<Pages>([...asked], (before) => before && {
      ...before,
      pages: before.pages.map((one) => ({ ...one, items: one.items.map((run) => fresh.get(run.batch_id) ?? run) })),
    })
    if (loaded === 0 && nWaiting.value > 0) await showNew()
  }

  /** The list from its top, with what was waiting. */
  async function showNew(): Promise<void> {
    nWaiting.value = 0
    queries.setQueryData<Pages>([...key.value], (before) => before && { pages: before.pages.slice(0, 1), pageParams: before.pageParams.slice(0, 1) })
    await list.refetch()
  }

  const soon = useThrottled(() => void refresh(), REFRESH_MS)
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') soon()
  }, QUIET_REFRESH_MS)
  onScopeDispose(() => clearInterval(timer))
  watch(key, () => (nWaiting.value = 0))
  useLiveTopic(ref('dashboard'), position, { events: soon, reset: () => void refresh() })

  return {
    runs, nWaiting, showNew,
    error: list.error, isLoading: list.isLoading, isEmpty: computed(() => list.isSuccess.value && runs.value.length === 0),
    hasMore: list.hasNextPage, isLoadingMore: list.isFetchingNextPage, loadMore: () => void list.fetchNextPage(), retry: () => void list.refetch(),
  }
}

const firstPage = (): string | null => null
const isNewer = (run: RunSummary, than: RunSummary): boolean => (run.started_at ?? run.last_seen_at) >= (than.started_at ?? than.last_seen_at)

/** Between two pages a run may have moved: it is shown once. */
function unique(runs: RunSummary[]): RunSummary[] {
  const seen = new Set<string>()
  return runs.filter((run) => !seen.has(run.batch_id) && seen.add(run.batch_id))
}
