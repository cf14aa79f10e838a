import type { Deletion, DeletionState, RunDetail } from '@/api/types'
import { formatBytes, formatCount, formatDuration, moment } from '@/shared/format'
import { isEnded } from '@/shared/status'

export const DELETION_WORDS: Readonly<Record<DeletionState, string>> = {
  requested: 'waits', planned: 'waits', running: 'goes on', deleted: 'done', partial: 'done in part', failed: 'failed', cancelled: 'cancelled',
}

export const isOnItsWay = (state: DeletionState | null): boolean => state === 'requested' || state === 'planned' || state === 'running'

/** Why there is no figure; null: there is one. */
export function whyNotMeasured({ output_dir, output_bytes, status }: Pick<RunDetail, 'output_dir' | 'output_bytes' | 'status'>): string | null {
  if (output_dir === null) return 'This run has named no output folder, so nothing is measured: argus.init(output_dir="s3://…") names one.'
  if (!output_dir.startsWith('s3://')) return 'Nothing is measured: this folder is no s3:// address, and Argus can only list those.'
  if (output_bytes !== null) return null
  return isEnded(status) ? 'Not measured yet.' : 'The folder is listed when the run has ended.'
}

/** How a deletion stands that is on its way. Who may not see its receipt knows its state alone. */
export function deletionNotice(one: { state: DeletionState | null } & Partial<Omit<Deletion, 'state'>>, now: number): string {
  if (one.state === 'running') {
    const done = one.objects ? `: ${formatCount(one.objects_deleted)} of ${formatCount(one.objects)} objects, ${formatBytes(one.bytes_freed)} freed` : ''
    return `These outputs are being deleted${done}.`
  }
  const due = moment(one.due_at)
  if (due === null) return 'A deletion of these outputs waits to begin.'
  const left = Math.ceil((due - now) / 1000)
  return left > 0
    ? `A deletion of these outputs begins in ${formatDuration(left)}. Until then it can be called off on the dashboard.`
    : 'A deletion of these outputs is about to begin.'
}
