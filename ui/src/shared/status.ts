/** The one vocabulary of status. Words, order and meaning are the same on every page. */

export const STATUSES = ['queued', 'registering', 'running', 'stopping', 'paused', 'succeeded', 'failed', 'aborted', 'cached', 'deleted'] as const
export type Status = (typeof STATUSES)[number]

export const RUN_FILTERS = ['running', 'queued', 'stopping', 'succeeded', 'failed', 'aborted', 'disconnected'] as const
export const JOB_FILTERS = ['running', 'queued', 'succeeded', 'failed', 'aborted', 'cached'] as const

const ENDED: ReadonlySet<string> = new Set(['succeeded', 'failed', 'aborted', 'cached', 'deleted'])

export const isEnded = (status: string): boolean => ENDED.has(status)

/** Alive first, then what went wrong, then what is done: the order of a table sorted by status. */
const RANK: readonly string[] = ['running', 'stopping', 'paused', 'registering', 'queued', 'failed', 'aborted', 'succeeded', 'cached', 'deleted']

export const statusRank = (status: string): number => {
  const at = RANK.indexOf(status)
  return at < 0 ? RANK.length : at
}
