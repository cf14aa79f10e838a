import createClient, { type Client } from 'openapi-fetch'
import { inject, type App, type InjectionKey } from 'vue'

import { problemOf } from './problem'
import type { paths } from './schema'

export type Api = Client<paths>

const KEY: InjectionKey<Api> = Symbol('api')

/** The client for the gateway that served this page. Every request that changes something carries the CSRF token. */
export function createApi(csrfToken: () => string | null): Api {
  const api = createClient<paths>({ baseUrl: '/', credentials: 'same-origin' })
  api.use({
    onRequest({ request }) {
      const token = csrfToken()
      if (token && request.method !== 'GET') request.headers.set('X-Argus-CSRF', token)
      return request
    },
  })
  return api
}

export function installApi(app: App, api: Api): void {
  app.provide(KEY, api)
}

export function useApi(): Api {
  const api = inject(KEY)
  if (!api) throw new Error('installApi was not called')
  return api
}

/** The answer, or an ApiError. */
export async function answer<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call
  if (!response.ok) throw problemOf(error, response)
  return data as T
}
