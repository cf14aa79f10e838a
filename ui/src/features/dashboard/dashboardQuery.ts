import type { LocationQuery, LocationQueryRaw, RouteLocationRaw } from 'vue-router'

/** What the page's address says. What is not there, or does not fit, has its default, and defaults are not written. */
export interface DashboardQuery {
  days: Days
  status: '' | 'succeeded' | 'failed'
  label: string
  size: '' | Size
  search: string
  sort: Sort
  /** Whose runs: '' is the reader, `*` everybody whom he administrates. */
  user: string
  cluster: string
  cursor: string
  /** As they stand in the address: one text holds several, separated by spaces; where it is repeated, spaces belong to them. */
  names: readonly string[]
}

export const DAYS = ['7', '30', '90', 'all'] as const
export const SIZES = ['over_1_gib', 'over_100_gib', 'over_1_tib'] as const
export const SORTS = ['newest', 'oldest', 'largest', 'smallest', 'name', 'name_desc'] as const
const STATUSES = ['succeeded', 'failed'] as const
export type Days = (typeof DAYS)[number]
export type Size = (typeof SIZES)[number]
export type Sort = (typeof SORTS)[number]

export const EVERYBODY = '*'
export const DAYS_WORDS: Readonly<Record<Days, string>> = { 7: 'Last 7 days', 30: 'Last 30 days', 90: 'Last 90 days', all: 'All time' }
export const SIZE_WORDS: Readonly<Record<Size, string>> = { over_1_gib: '> 1 GiB', over_100_gib: '> 100 GiB', over_1_tib: '> 1 TiB' }
export const SORT_WORDS: Readonly<Record<Sort, string>> = {
  newest: 'Newest first', oldest: 'Oldest first', largest: 'Largest first', smallest: 'Smallest first', name: 'Name (A–Z)', name_desc: 'Name (Z–A)',
}

export function readQuery(query: LocationQuery): DashboardQuery {
  return {
    days: DAYS.find((one) => one === query['days']) ?? '30',
    status: STATUSES.find((one) => one === query['status']) ?? '',
    label: one(query['label']),
    size: SIZES.find((size) => size === query['size']) ?? '',
    search: one(query['search']),
    sort: SORTS.find((sort) => sort === query['sort']) ?? 'newest',
    user: one(query['user']),
    cluster: one(query['cluster']),
    cursor: one(query['cursor']),
    names: namesIn(query),
  }
}

export function writeQuery(query: DashboardQuery): LocationQueryRaw {
  const { days, sort, names, ...texts } = query
  return {
    ...(days === '30' ? {} : { days }),
    ...Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== '')),
    ...(sort === 'newest' ? {} : { sort }),
    ...(names.length > 0 ? { names: names.length === 1 ? names[0] : [...names] } : {}),
  }
}

/** Another set or order of runs begins at its first page. */
export function changed(query: DashboardQuery, change: Partial<DashboardQuery>): DashboardQuery {
  return { ...query, cursor: '', ...change }
}

/** What of the filter row is set; time has no "none". */
export const isFiltered = ({ status, label, size, search }: DashboardQuery): boolean => status !== '' || label !== '' || size !== '' || search !== ''

/** The filter row with nothing in it. */
export const UNFILTERED = { status: '', label: '', size: '', search: '' } as const

/** The names that are meant, each once. */
export function splitNames(names: readonly string[]): string[] {
  const [first] = names
  const found = names.length === 1 && first !== undefined ? first.split(/\s+/) : names
  return [...new Set(found.filter((name) => name !== ''))]
}

/** What all sections ask with. A named set is asked for whatever the filters say. */
export function asked(query: DashboardQuery) {
  if (query.names.length > 0) return { names: [...query.names] }
  return {
    days: query.days,
    status: query.status || undefined,
    label: query.label || undefined,
    size: query.size || undefined,
    search: query.search || undefined,
    user: query.user || undefined,
    cluster: query.cluster || undefined,
  }
}

/** The same runs, as far as the list of all runs can tell them apart. A label is searched for there: its search looks into labels, too. */
export function runsListOf(query: DashboardQuery, me: string): RouteLocationRaw {
  const names = splitNames(query.names)
  if (names.length > 0) return { name: 'runs', query: names.length === 1 ? { search: names[0] } : {} }
  const user = query.user === EVERYBODY ? '' : query.user || me
  const search = query.search || query.label
  const status = query.status === 'failed' ? ['failed', 'aborted'] : query.status ? [query.status] : []
  return {
    name: 'runs',
    query: { ...(search ? { search } : {}), ...(status.length > 0 ? { status } : {}), ...(user ? { user } : {}) },
  }
}

/** What of the question that list cannot be asked. */
export function lostOnRunsList(query: DashboardQuery): string[] {
  if (query.names.length > 0) return splitNames(query.names).length > 1 ? ['the names'] : []
  return [
    query.days === 'all' ? '' : 'the time',
    query.size ? 'the size' : '',
    query.label && query.search ? 'the label' : '',
    query.cluster ? 'the cluster' : '',
  ].filter(Boolean)
}

function namesIn(query: LocationQuery): string[] {
  const names = [query['names'] ?? []].flat().map((name) => name ?? '')
  return names.some((name) => name.trim() !== '') ? names : []
}

const one = (value: LocationQuery[string] | undefined): string => (typeof value === 'string' ? value : '')
