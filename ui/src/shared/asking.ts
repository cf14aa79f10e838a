import { ApiError } from '@/api/problem'

const UNANSWERED_MS = 5000
/** Somebody who opens a page before its run has said a word is watching for it; after a minute he may have gone. */
const NOT_YET_MS = 2000
const NOT_YET_TRIES = 30
const STILL_NOT_MS = 15_000

interface Asked<D> { state: { status: string; error: unknown; errorUpdateCount: number; data?: D } }

/**
 * How long until a question is asked again: soon where nobody could answer, so that a page comes back by itself;
 * calmly where there is no such thing, for it may be about to begin (no stream tells of what is not there);
 * after `quiet_ms` while `lasts` holds; never where it was refused. A page that nobody looks at does not ask.
 */
export function askAgain<D>(quiet_ms: number, lasts: (data: D) => boolean): (query: Asked<D>) => number | false {
  return ({ state: { status, error, errorUpdateCount, data } }) => {
    if (status === 'error' && error instanceof ApiError && error.status === 404) return errorUpdateCount < NOT_YET_TRIES ? NOT_YET_MS : STILL_NOT_MS
    if (status === 'error') return error instanceof ApiError && error.status < 500 && error.status > 0 ? false : UNANSWERED_MS
    return data !== undefined && lasts(data) ? quiet_ms : false
  }
}
