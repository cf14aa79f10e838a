/** What the gateway refused or could not do, with the id to give to whoever runs it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly requestId: string | null,
  ) {
    super(detail || title)
  }

  get isNotFound(): boolean {
    return this.status === 404 || this.status === 403
  }
}

/** An error of any kind in the words that a page shows. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  const detail = error instanceof Error ? error.message : String(error)
  return new ApiError(0, 'unreachable', 'Argus cannot be reached', detail, null)
}

export function problemOf(body: unknown, response: Response): ApiError {
  const problem: Record<string, unknown> = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  const text = (key: string): string => (typeof problem[key] === 'string' ? (problem[key] as string) : '')
  return new ApiError(
    response.status,
    text('code') || `http_${response.status}`,
    text('title') || response.statusText || `HTTP ${response.status}`,
    text('detail'),
    text('request_id') || response.headers.get('x-request-id'),
  )
}
