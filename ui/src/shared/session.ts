import { inject, shallowRef, type App, type InjectionKey, type ShallowRef } from 'vue'

import { answer, type Api } from '@/api/client'
import { ApiError } from '@/api/problem'
import type { components } from '@/api/schema'

export type Me = components['schemas']['Me']

export interface Session {
  me: ShallowRef<Me | null>
  csrfToken: () => string | null
  /** Who is signed in, asked once; null: nobody. */
  load: (api: Api) => Promise<Me | null>
  signIn: (api: Api, username: string, password: string) => Promise<void>
  signOut: (api: Api) => Promise<void>
  forget: () => void
}

const KEY: InjectionKey<Session> = Symbol('session')

export function createSession(): Session {
  const me = shallowRef<Me | null>(null)
  const forget = (): void => {
    me.value = null
  }
  return {
    me,
    forget,
    csrfToken: () => me.value?.csrf_token ?? null,
    async load(api) {
      if (me.value) return me.value
      try {
        me.value = await answer(api.GET('/api/auth/me'))
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 401)) throw error
      }
      return me.value
    },
    async signIn(api, username, password) {
      me.value = await answer(api.POST('/api/auth/login', { body: { username, password } }))
    },
    async signOut(api) {
      await answer(api.POST('/api/auth/logout'))
      forget()
    },
  }
}

export function installSession(app: App, session: Session): void {
  app.provide(KEY, session)
}

export function useSession(): Session {
  const session = inject(KEY)
  if (!session) throw new Error('installSession was not called')
  return session
}
