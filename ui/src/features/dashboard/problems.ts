import { toApiError, type ApiError } from '@/api/problem'

/** The one problem that all of these have; null where some have none, or others. Which request it was tells no two apart. */
export function commonProblem(errors: readonly unknown[]): ApiError | null {
  const [first, ...others] = errors.map((error) => (error === null || error === undefined ? null : toApiError(error)))
  if (!first) return null
  return others.every((one) => one !== null && one.status === first.status && one.code === first.code && one.title === first.title) ? first : null
}

/** What is shown was there, and could not be had anew: why, as far as it is known. */
export function oldWords(errors: readonly unknown[]): string {
  const isAway = errors.some((error) => error !== null && error !== undefined && toApiError(error).status === 0)
  return `${isAway ? 'Argus cannot be reached' : 'Not everything here could be loaded anew'}: what is shown may be out of date. The page tries again by itself.`
}
