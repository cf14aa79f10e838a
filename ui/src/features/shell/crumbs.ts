import { computed, inject, shallowRef, watchEffect, type App, type ComputedRef, type InjectionKey, type ShallowRef } from 'vue'
import type { RouteLocationRaw } from 'vue-router'

import { showHidden } from '@/shared/format'

import { showTab, type TabState } from './tabSign'

export interface Crumb { text: string; to: RouteLocationRaw | null }

const KEY: InjectionKey<ShallowRef<readonly Crumb[]>> = Symbol('crumbs')

export function installCrumbs(app: App): void {
  app.provide(KEY, shallowRef([]))
}

export function useCrumbs(): { crumbs: ComputedRef<readonly Crumb[]> } {
  const crumbs = inject(KEY)
  if (!crumbs) throw new Error('installCrumbs was not called')
  return { crumbs: computed(() => crumbs.value) }
}

/** Where the reader is, behind "Runs", and the title of the tab, with the state of what the page is about. */
export function usePlace(place: () => { crumbs: readonly Crumb[]; title: string; state?: TabState | null }): void {
  const crumbs = inject(KEY)
  if (!crumbs) throw new Error('installCrumbs was not called')
  watchEffect(() => {
    const { crumbs: next, title, state = null } = place()
    crumbs.value = next.map(({ text, to }) => ({ text: showHidden(text), to }))
    showTab(showHidden(title), state)
  })
}
