import type { Deletion, DeletionResult } from '@/api/types'
import { formatClock, formatCount, moment } from '@/shared/format'

import { graceWords, isInFlight } from './deletions'

type Taken = Pick<DeletionResult, 'outcome' | 'n_taken' | 'results'>
type Known = Pick<Deletion, 'deletion_id' | 'state'>
export interface DoneWords { text: string; tone: 'neutral' | 'failed' | 'succeeded' }

/** What has become of one command, as far as the list of deletions tells: it changes while they wait, go on and end. */
export function doneWords(result: Taken, grace_s: number, deletions: readonly Known[]): DoneWords {
  const ids = new Set(result.results.flatMap(({ deletion_id }) => deletion_id ?? []))
  const mine = deletions.filter(({ deletion_id }) => ids.has(deletion_id))
  const count = (...states: Deletion['state'][]): number => mine.filter(({ state }) => states.includes(state)).length
  const begun = mine.length - count('requested', 'planned')
  if (begun === 0) return { text: queuedWords(result, grace_s), tone: 'neutral' }
  const going = mine.filter(({ state }) => isInFlight(state)).length
  const failed = count('failed', 'partial')
  const parts = [
    [count('deleted'), 'deleted'], [count('partial'), 'partly deleted'], [count('failed'), 'failed'], [count('cancelled'), 'cancelled'], [going, 'still to end'],
  ].flatMap(([n, word]) => (n ? `${formatCount(Number(n))} ${word}` : []))
  const head = going > 0 ? `Of ${nDeletions(mine.length)}` : `${nDeletions(mine.length)} ${mine.length === 1 ? 'has' : 'have'} ended`
  const tone = failed > 0 ? 'failed' : going === 0 && count('deleted') > 0 ? 'succeeded' : 'neutral'
  return { text: `${head}: ${parts.join(', ')}.`, tone }
}

/** What has come of the command, in a sentence. A moment, not a span: the sentence stays. */
export function queuedWords({ outcome: said, n_taken, results }: Taken, grace_s: number): string {
  if (n_taken === 0) return 'No deletion was queued.'
  if (said === 'queued') return `${formatCount(n_taken)} ${n_taken === 1 ? 'run is' : 'runs are'} handed on; the service that deletes has not answered yet. What becomes of each stands above.`
  const what = `${nDeletions(n_taken)} ${n_taken === 1 ? 'is' : 'are'} queued`
  if (grace_s <= 0) return `${what}.`
  const due = results.reduce<number | null>((least, { due_at }) => {
    const at = moment(due_at)
    return at !== null && (least === null || at < least) ? at : least
  }, null)
  return `${what}: the first object goes ${due === null ? `in ${graceWords(grace_s)}` : `at ${formatClock(due)}`}, and until then each can be cancelled.`
}

const nDeletions = (n: number): string => `${formatCount(n)} ${n === 1 ? 'deletion' : 'deletions'}`
