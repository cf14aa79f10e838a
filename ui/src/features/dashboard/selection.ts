import type { DashboardRun } from '@/api/types'

import { isInFlight } from './deletions'

export interface Selection {
  chosen: ReadonlySet<string>
  /** The run that was chosen last: a range begins there. */
  anchor: string | null
}

export const NOTHING: Selection = { chosen: new Set(), anchor: null }

/** With `range`: everything from the run that was chosen last, as this one becomes. */
export function toggled(selection: Selection, page: readonly string[], id: string, range: boolean): Selection {
  const at = page.indexOf(id)
  if (at < 0) return selection
  const anchor = selection.anchor === null ? -1 : page.indexOf(selection.anchor)
  const isRange = range && anchor >= 0
  const on = isRange ? selection.chosen.has(selection.anchor ?? '') : !selection.chosen.has(id)
  const from = isRange ? Math.min(anchor, at) : at
  const to = isRange ? Math.max(anchor, at) : at
  const chosen = new Set(selection.chosen)
  for (const one of page.slice(from, to + 1)) {
    if (on) chosen.add(one)
    else chosen.delete(one)
  }
  return { chosen, anchor: id }
}

/** All of the page; none where all of it was chosen. */
export function toggledAll(selection: Selection, page: readonly string[]): Selection {
  return share(selection, page) === 'all' ? NOTHING : { chosen: new Set(page), anchor: selection.anchor }
}

export function share(selection: Selection, page: readonly string[]): 'none' | 'some' | 'all' {
  const n = page.filter((id) => selection.chosen.has(id)).length
  return n === 0 ? 'none' : n === page.length ? 'all' : 'some'
}

/** Who is not on the page any more is not chosen any more: one acts on what one sees. */
export function kept(selection: Selection, page: readonly string[]): Selection {
  const chosen = page.filter((id) => selection.chosen.has(id))
  return chosen.length === selection.chosen.size ? selection : { chosen: new Set(chosen), anchor: selection.anchor }
}

export interface Totals {
  n: number
  /** Have something to delete, as far as the page knows. */
  nSome: number
  bytes: number
  usdMin: number
  usdMax: number
  /** Have outputs that nobody has measured: they are not in the sums. */
  nUnmeasured: number
  /** Of whose outputs nothing is left to delete, or a deletion is on its way. */
  nNothing: number
}

/** What deleting these would free, by the newest listings; less where other runs share a folder, which only the dialog finds out. */
export function totals(runs: readonly DashboardRun[]): Totals {
  const sum: Totals = { n: runs.length, nSome: 0, bytes: 0, usdMin: 0, usdMax: 0, nUnmeasured: 0, nNothing: 0 }
  for (const run of runs) {
    if (!hasOutputs(run)) {
      sum.nNothing += 1
    } else if (run.bytes === null) {
      sum.nUnmeasured += 1
    } else {
      sum.bytes += run.bytes
      sum.usdMin += run.storage_usd_min ?? 0
      sum.usdMax += run.storage_usd_max ?? 0
    }
  }
  sum.nSome = sum.n - sum.nNothing
  return sum
}

const hasOutputs = (run: DashboardRun): boolean => run.output_dir !== null && run.deleted_at === null && !isInFlight(run.deletion_state)
