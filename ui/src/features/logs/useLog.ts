import { computed, onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { LiveEvent } from '@/api/live'
import type { LogLines } from '@/api/types'
import { logTopic } from '@/shared/live/topics'
import { useLiveTopic } from '@/shared/live/useLive'
import { usePaced } from '@/shared/throttle'

import { appendRecords, fetchedRecord, LEVEL_WORDS, liveRecord, passes, type LevelClass, type LogRecord } from './logRows'

const PAGE = 500
/** Beyond this many lines in the page the oldest are let go; scrolling up fetches them again. */
const MOST = 20_000
const SHOW_MS = 50

export interface LogFilter { levels: readonly LevelClass[]; search: string }

/**
 * The end of a log, older pages on demand, and what arrives live behind it. The lines of a job come from its page through
 * `onEvents`; those of a whole run (no job) are listened for here.
 */
export function useLog(batchId: Ref<string>, jobId: Ref<string | null>, filter: Ref<LogFilter>) {
  const api = useApi()
  const records = shallowRef<LogRecord[]>([])
  const dropped = ref(0)
  const hasOlder = ref(false)
  const isLoading = ref(true)
  const isLoadingOlder = ref(false)
  const error = shallowRef<unknown>(null)
  const position = ref<number | null>(null)
  let before: string | null = null
  let arrived: LiveEvent[] = []
  let recent: LiveEvent[] = []
  let generation = 0

  const ask = (page: { before?: string; after_line?: string }, limit = PAGE): Promise<LogLines> =>
    answer(api.GET('/api/batches/{batch_id}/log-lines', {
      params: {
        path: { batch_id: batchId.value },
        query: {
          ...page, limit, job_id: jobId.value ?? undefined, search: filter.value.search || undefined,
          level: filter.value.levels.flatMap((level) => LEVEL_WORDS[level]),
        },
      },
    }))

  const fresh = (events: readonly LiveEvent[]): LogRecord[] =>
    events.map(liveRecord).filter((record) => passes(record, filter.value.levels, filter.value.search))

  /** The newest lines, from the start. */
  async function load(): Promise<void> {
    generation += 1
    const mine = generation
    try {
      const page = await ask({})
      if (mine !== generation) return
      recent = recent.filter((event) => event.position > page.position)
      arrived = []
      records.value = appendRecords(page.lines.map(fetchedRecord), fresh(recent))
      before = page.before
      hasOlder.value = page.before !== null
      dropped.value = page.dropped
      position.value = page.position
      error.value = null
    } catch (cause) {
      if (mine === generation) error.value = cause
    } finally {
      if (mine === generation) isLoading.value = false
    }
  }

  /** How many lines came before the first one. */
  async function loadOlder(): Promise<number> {
    if (before === null || isLoadingOlder.value) return 0
    const mine = generation
    isLoadingOlder.value = true
    try {
      const page = await ask({ before })
      if (mine !== generation) return 0
      records.value = [...page.lines.map(fetchedRecord), ...records.value]
      before = page.before
      hasOlder.value = before !== null
      return page.lines.length
    } catch (cause) {
      error.value = cause
      return 0
    } finally {
      isLoadingOlder.value = false
    }
  }

  const show = usePaced(() => {
    if (position.value === null) return
    const since = position.value
    const added = fresh(arrived.filter((event) => event.position > since))
    arrived = []
    if (added.length === 0) return
    records.value = appendRecords(records.value, added)
    if (records.value.length > MOST) void load()
  }, SHOW_MS)

  function onEvents(events: readonly LiveEvent[]): void {
    const lines = events.filter((event) => event.kind === 'log_line' && (jobId.value === null || event.job_id === jobId.value))
    if (lines.length === 0) return
    recent = [...recent, ...lines].slice(-5000)
    arrived.push(...lines)
    show()
  }

  useLiveTopic(computed(() => (jobId.value === null ? logTopic(batchId.value) : null)), position, { events: onEvents, reset: () => void load() })
  onScopeDispose(() => {
    generation += 1
  })
  watch([batchId, jobId], () => {
    recent = []
    arrived = []
    records.value = []
    position.value = null
  })
  watch([batchId, jobId, () => JSON.stringify(filter.value)], () => {
    isLoading.value = true
    void load()
  }, { immediate: true })

  return { records, dropped, hasOlder, isLoading, isLoadingOlder, error, position, load, loadOlder, onEvents }
}
