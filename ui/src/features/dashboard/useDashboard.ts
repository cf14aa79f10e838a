import { useQueryClient } from '@tanstack/vue-query'
import { computed, ref, watch, type Ref } from 'vue'

import { answer, useApi } from '@/api/client'
import type { LiveEvent } from '@/api/live'
import type { DashboardChoices, DashboardRuns, DashboardSpend, DashboardStorage, DashboardSummary } from '@/api/types'
import { useLiveTopic } from '@/shared/live/useLive'
import { useThrottled } from '@/shared/throttle'

import { asked, type DashboardQuery } from './dashboardQuery'
import { useSection, type Section } from './useSection'

const PAGE = 25
/** A set that somebody has put together is looked through as a whole, as far as one answer goes. */
const NAMED_PAGE = 100
const REFRESH_MS = 5000
/** After these the runs in scope, or what they cost, may be others. */
const NEWS: ReadonlySet<string> = new Set(['batch_done', 'batch_failed', 'batch_aborted', 'cost_recorded', 'run_purged'])
const OUTPUTS = 'outputs_'
/** Only the strip shows how far one is. */
const PROGRESS = 'outputs_deletion_progressed'

export interface Dashboard {
  summary: Section<DashboardSummary>
  spend: Section<DashboardSpend>
  storage: Section<DashboardStorage>
  runs: Section<DashboardRuns>
  choices: Section<DashboardChoices>
  /** Runs have ended since the list was asked for: it does not change under the reader's hand. */
  hasNews: Ref<boolean>
  /** All sections, and the list, anew. */
  refresh: () => void
  /** What changes with outputs, not more often than every five seconds. */
  refreshSoon: () => void
}

/** The sections of the page, each for itself. `after` is the log position of the reader's own last command: no answer is older. */
export function useDashboard(query: Ref<DashboardQuery>, after: Ref<number | null>): Dashboard {
  const api = useApi()
  const queries = useQueryClient()
  const filters = computed(() => asked(query.value))
  const scope = computed(() => JSON.stringify(filters.value))
  const hasNews = ref(false)
  const more = (): { after: number | undefined } => ({ after: after.value ?? undefined })

  const summary = useSection(computed(() => ['dashboard', 'summary', scope.value]), (signal) =>
    answer(api.GET('/api/dashboard/summary', { params: { query: { ...filters.value, ...more() } }, signal })))
  const spend = useSection(computed(() => ['dashboard', 'spend', scope.value]), (signal) =>
    answer(api.GET('/api/dashboard/spend', { params: { query: { ...filters.value, ...more() } }, signal })))
  const storage = useSection(computed(() => ['dashboard', 'storage', scope.value]), (signal) =>
    answer(api.GET('/api/dashboard/storage', { params: { query: { ...filters.value, ...more() } }, signal })))
  const runs = useSection(computed(() => ['dashboard', 'runs', scope.value, query.value.sort, query.value.cursor]), (signal) => {
    hasNews.value = false
    const { sort, cursor } = query.value
    return answer(api.GET('/api/dashboard/runs', { params: { query: { ...filters.value, sort, limit: query.value.names.length > 0 ? NAMED_PAGE : PAGE, cursor: cursor || undefined, ...more() } }, signal }))
  })
  const choices = useSection(computed(() => ['dashboard', 'choices', query.value.user, query.value.cluster]), (signal) =>
    answer(api.GET('/api/dashboard/choices', { params: { query: { user: query.value.user || undefined, cluster: query.value.cluster || undefined } }, signal })))

  const refresh = (): void => void queries.invalidateQueries({ queryKey: ['dashboard'] })
  const refreshFigures = useThrottled(() => {
    for (const part of ['summary', 'spend', 'storage']) void queries.invalidateQueries({ queryKey: ['dashboard', part] })
  }, REFRESH_MS)
  const refreshRuns = useThrottled(() => void queries.invalidateQueries({ queryKey: ['dashboard', 'runs'] }), REFRESH_MS)
  useLiveTopic(ref('dashboard'), computed(() => summary.data.value?.position ?? null), {
    events: (events: LiveEvent[]) => {
      // Rows change in place after what happens to outputs; a run that ended would move them.
      if (events.some(isOfOutputs)) refreshRuns()
      if (events.some(({ kind }) => NEWS.has(kind))) hasNews.value = true
      if (events.some(({ kind }) => NEWS.has(kind)) || events.some(isOfOutputs)) refreshFigures()
    },
    reset: refresh,
  })
  watch([scope, () => query.value.sort, () => query.value.cursor], () => (hasNews.value = false))

  const refreshSoon = (): void => {
    refreshRuns()
    refreshFigures()
  }
  return { summary, spend, storage, runs, choices, hasNews, refresh, refreshSoon }
}

const isOfOutputs = ({ kind }: LiveEvent): boolean => kind.startsWith(OUTPUTS) && kind !== PROGRESS
