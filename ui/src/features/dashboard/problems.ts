import { toApiError, type ApiError } from '@/api/problem'

/** The one problem of at least two of these, where none has another; null otherwise. What has none yet does not count: it may still be on its way. Which request it was tells no two apart. */
export function commonProblem(errors: readonly unknown[]): ApiError | null {
  const [first, ...others] = errors.filter((error) => error !== null && error !== undefined).map(toApiError)
  if (!first || others.length === 0) return null
  return others.every((one) => one.status === first.status && one.code === first.code && one.title === first.title) ? first : null
}

/** What is shown was there, and could not be had anew: why, as far as it is known. */
export function oldWords(errors: readonly unknown[]): string {
  const isAway = errors.some((error) => error !== null && error !== undefined && toApiError(error).status === 0)
  return `${isAway ? 'Argus cannot be reached' : 'Not everything here could be loaded anew'}: what is shown may be out of date. The page tries again by itself.`
}
