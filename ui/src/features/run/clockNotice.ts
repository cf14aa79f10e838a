import type { RunSummary } from '@/api/types'
import { formatDuration } from '@/shared/format'

/** What to say where the sender's clock and that of Argus do not agree; null where they do. */
export function clockNotice(run: Pick<RunSummary, 'clock_offset_s'>): string | null {
  const offset = run.clock_offset_s
  if (offset === null) return null
  if (offset > 0) return `The clock of the training machine is ${formatDuration(offset)} ahead. Times on this page are as it states them.`
  return `The newest event came ${formatDuration(-offset)} after the time that it states: it was sent late, or the clock of the training machine is behind.`
}
