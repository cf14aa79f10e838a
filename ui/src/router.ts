import { createRouter, createWebHistory, type Router } from 'vue-router'

import type { Api } from './api/client'
import RunListPage from './features/runs/RunListPage.vue'
import SignInPage from './features/sign-in/SignInPage.vue'
import type { Session } from './shared/session'

const runPage = () => import('./features/run/RunPage.vue')
const dashboardPage = () => import('./features/dashboard/DashboardPage.vue')
const jobPage = () => import('./features/job/JobPage.vue')

/** The parts of the program that somebody is about to need (while they sign in, or read a list) are here when they do. */
export function loadAhead(): void {
  const load = () => void Promise.allSettled([runPage(), jobPage(), dashboardPage(), import('./features/charts/echarts')])
  if ('requestIdleCallback' in window) window.requestIdleCallback(load, { timeout: 2000 })
  else setTimeout(load, 500) // Safari
}

/** A page that was loaded just now is not of an older version: loading it again would never end. */
const FRESH_MS = 5000

export function createPages(api: Api, session: Session): Router {
  const router = createRouter({
    history: createWebHistory(),
    routes: [
      { path: '/login', name: 'sign-in', component: SignInPage, meta: { open: true } },
      { path: '/', redirect: '/runs/' },
      { path: '/runs/', name: 'runs', component: RunListPage },
      { path: '/runs/:batchId', name: 'run', component: runPage },
      // A job's id may be anything printable; a slash in it stands as %2F, and where somebody typed it, as itself.
      { path: '/jobs/:batchId/:jobId(.+)', name: 'job', component: jobPage },
      { path: '/dashboard/', name: 'dashboard', component: dashboardPage },
      { path: '/settings/keys', name: 'keys', component: () => import('./features/keys/KeysPage.vue') },
      { path: '/:rest(.*)*', name: 'nowhere', component: () => import('./features/shell/NowherePage.vue') },
    ],
  })
  // The part of the program that this page needs is gone: another version was installed meanwhile. Where the server does
  // not answer at all, the page stays, and says so.
  router.onError((error: unknown, to) => {
    if (!(error instanceof TypeError) || performance.now() < FRESH_MS) return
    void fetch('/', { method: 'HEAD', cache: 'no-store' }).then(({ ok }) => {
      if (ok) window.location.assign(to.fullPath)
    }, () => undefined)
  })
  router.beforeEach(async (to) => {
    if (to.meta['open'] === true) return true
    // Where nobody answers, the page itself says so and tries again.
    const me = await session.load(api).catch(() => 'unknown' as const)
    return me === null ? { name: 'sign-in', query: { next: to.fullPath } } : true
  })
  return router
}
