import type { LocationQuery, LocationQueryRaw } from 'vue-router'

import { RUN_FILTERS } from '@/shared/status'

export type RunFilterStatus = (typeof RUN_FILTERS)[number]
export interface RunFilters {
  search: string
  status: readonly RunFilterStatus[]
  project: string
  user: string
  workspace: string
}

/** What the address says; what does not fit is left out. */
export function readFilters(query: LocationQuery): RunFilters {
  const status = [query['status'] ?? []].flat()
  return {
    search: one(query['search']),
    status: RUN_FILTERS.filter((name) => status.includes(name)),
    project: one(query['project']),
    user: one(query['user']),
    workspace: one(query['workspace']),
  }
}

export function writeFilters(filters: RunFilters): LocationQueryRaw {
  return {
    ...(filters.search ? { search: filters.search } : {}),
    ...(filters.status.length > 0 ? { status: [...filters.status] } : {}),
    ...(filters.project ? { project: filters.project } : {}),
    ...(filters.user ? { user: filters.user } : {}),
    ...(filters.workspace ? { workspace: filters.workspace } : {}),
  }
}

export const isFiltered = (filters: RunFilters): boolean => Object.keys(writeFilters(filters)).length > 0

const one = (value: LocationQuery[string] | undefined): string => (typeof value === 'string' ? value : '')
