import './shared/styles/tokens.css'
import './shared/styles/base.css'

import { MutationCache, QueryCache, QueryClient, VueQueryPlugin } from '@tanstack/vue-query'
import { createApp } from 'vue'

import { createApi, installApi } from './api/client'
import { ApiError } from './api/problem'
import App from './App.vue'
import { installCrumbs } from './features/shell/crumbs'
import { createPages, loadAhead } from './router'
import { createLiveHub } from './shared/live/liveHub'
import { installLive } from './shared/live/useLive'
import { createSession, installSession } from './shared/session'
import { installTheme } from './shared/theme'

const session = createSession()
const api = createApi(session.csrfToken)
const router = createPages(api, session)

/** The session ended: back here after signing in. */
function onError(error: unknown): void {
  if (!(error instanceof ApiError) || error.status !== 401) return
  session.forget()
  const here = router.currentRoute.value
  if (here.name !== 'sign-in') void router.push({ name: 'sign-in', query: { next: here.fullPath } })
}

/** A browser that believes itself offline asks all the same: a question that waits says nothing, one that fails does. */
const networkMode = 'always'
const queries = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      // Answers are replaced, never changed: watching every number of a curve would cost more than drawing it.
      shallow: true,
      networkMode,
      refetchOnReconnect: true,
      staleTime: 5000,
      refetchOnWindowFocus: false,
      // What the server refused stays refused; what it could not do, or did not hear, is asked again.
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status < 500),
      retryDelay: (failures) => 400 * 2 ** failures,
    },
    mutations: { networkMode },
  },
})

const app = createApp(App)
installApi(app, api)
installSession(app, session)
installTheme(app)
installCrumbs(app)
installLive(app, createLiveHub())
app.use(VueQueryPlugin, { queryClient: queries })
app.use(router)
app.mount('#app')
void router.isReady().then(loadAhead)
