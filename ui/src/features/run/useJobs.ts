import { useQueryClient } from '@tanstack/vue-query'
import { computed, onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { LiveEvent } from '@/api/live'
import { ApiError } from '@/api/problem'
import type { JobSummary } from '@/api/types'
import { batchTopic, isNews } from '@/shared/live/topics'
import { useLiveTopic } from '@/shared/live/useLive'
import { usePaced } from '@/shared/throttle'

import { jobsOfMatrix } from './jobsOfMatrix'
import { withEvents } from './withEvents'

interface Page { position: number; items: readonly JobSummary[]; next_cursor: string | null; total: number }

const PAGE = 1000
/** Ten thousand rows are sorted and counted anew whenever one of them changes. */
const SHOW_MS = 150
const SOON_MS = 1000
const LATER_MS = 8000
/** Fetching all rows again may take this share of the time at most: a large run is asked for less often. */
const MOST_SHARE = 1 / 20
const UNANSWERED_MS = 5000

/**
 * All jobs of a run: fetched page by page, then kept up with what arrives live. A job's row changes in place and a new
 * job gets one; what happens to the run as a whole is asked for. `isThere`: the run is known (it may come to be later).
 * `onlyTiles`: what a matrix shows is enough, which is a tenth of the bytes; once it is not, the whole rows are fetched.
 */
export function useJobs(batchId: Ref<string>, isThere: Ref<boolean>, onlyTiles: Ref<boolean>) {
  const api = useApi()
  const queries = useQueryClient()
  const jobs = shallowRef<JobSummary[]>([])
  const total = ref(0)
  const position = ref<number | null>(null)
  const error = shallowRef<unknown>(null)
  const isLoading = ref(true)
  let generation = 0
  let recent: LiveEvent[] = []
  let arrived: LiveEvent[] = []
  let abort = new AbortController()
  let timer: ReturnType<typeof setTimeout> | null = null
  let dueAt = Infinity
  let loadedAt = 0
  let tookMs = 0
  let haveOnlyTiles = true

  async function load(): Promise<void> {
    generation += 1
    const mine = generation
    unschedule()
    abort.abort()
    abort = new AbortController()
    const { signal } = abort
    const began = Date.now()
    const tiles = onlyTiles.value && haveOnlyTiles
    const found: JobSummary[] = []
    let cursor: string | null = null
    let first: number | null = null
    try {
      do {
        const page: Page = await queries.fetchQuery({
          queryKey: ['jobs', batchId.value, cursor, mine],
          staleTime: 0,
          gcTime: 0,
          queryFn: () => (tiles ? tilesFrom : rowsFrom)(batchId.value, cursor, signal),
        })
        if (mine !== generation) return
        found.push(...page.items)
        // What happened between two pages is told again by the stream: the earliest position counts.
        first = Math.min(first ?? page.position, page.position)
        cursor = page.next_cursor
        total.value = Math.max(page.total, found.length)
        if (jobs.value.length < found.length) jobs.value = withRecent(found, first)
      } while (cursor !== null)
      jobs.value = withRecent(found, first ?? 0)
      position.value = first
      haveOnlyTiles = tiles
      error.value = null
      loadedAt = Date.now()
      tookMs = loadedAt - began
    } catch (cause) {
      if (mine !== generation) return
      error.value = cause
      // What was refused stays refused, until the run is there.
      if (!(cause instanceof ApiError && cause.status > 0 && cause.status < 500)) schedule(UNANSWERED_MS)
    } finally {
      if (mine === generation) isLoading.value = false
    }
  }

  function rowsFrom(batch_id: string, cursor: string | null, signal: AbortSignal): Promise<Page> {
    const query = { limit: PAGE, cursor: cursor ?? undefined }
    return answer(api.GET('/api/batches/{batch_id}/jobs', { params: { path: { batch_id }, query }, signal }))
  }

  async function tilesFrom(batch_id: string, cursor: string | null, signal: AbortSignal): Promise<Page> {
    const query = { cursor: cursor ?? undefined }
    const matrix = await answer(api.GET('/api/batches/{batch_id}/matrix', { params: { path: { batch_id }, query }, signal }))
    return { ...matrix, items: jobsOfMatrix(batch_id, matrix) }
  }

  function withRecent(found: readonly JobSummary[], since: number): JobSummary[] {
    recent = recent.filter((event) => event.position > since)
    return withEvents(found, recent)
  }

  function unschedule(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    dueAt = Infinity
  }

  function schedule(wait_ms: number): void {
    const at = Math.max(Date.now() + wait_ms, loadedAt + tookMs / MOST_SHARE)
    if (at >= dueAt) return
    unschedule()
    dueAt = at
    timer = setTimeout(() => void load(), at - Date.now())
  }

  const show = usePaced(() => {
    jobs.value = withEvents(jobs.value, arrived)
    total.value = Math.max(total.value, jobs.value.length)
    arrived = []
  }, SHOW_MS)

  function onEvents(events: LiveEvent[]): void {
    recent.push(...events)
    arrived.push(...events)
    show()
    if (events.some((event) => event.job_id === null && isNews(event.kind))) schedule(SOON_MS)
    else if (events.some((event) => isNews(event.kind))) schedule(LATER_MS)
  }

  watch(batchId, () => {
    jobs.value = []
    total.value = 0
    recent = []
    arrived = []
    position.value = null
    haveOnlyTiles = true
    isLoading.value = true
    void load()
  }, { immediate: true })
  watch(onlyTiles, (yes) => {
    if (!yes && haveOnlyTiles) void load()
  })
  watch(isThere, (yes) => {
    if (yes && error.value !== null) void load()
  })
  useLiveTopic(computed(() => batchTopic(batchId.value)), position, { events: onEvents, reset: () => schedule(0) })
  onScopeDispose(() => {
    generation += 1
    unschedule()
    abort.abort()
  })

  return { jobs, total, error, isLoading, retry: () => void load() }
}
