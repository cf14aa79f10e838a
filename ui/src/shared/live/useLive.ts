import { inject, onScopeDispose, watch, type App, type InjectionKey, type Ref } from 'vue'

import type { LiveEvent } from '@/api/live'

import type { LiveHub } from './liveHub'

const KEY: InjectionKey<LiveHub> = Symbol('live')

export function installLive(app: App, hub: LiveHub): void {
  app.provide(KEY, hub)
}

export function useLiveHub(): LiveHub {
  const hub = inject(KEY)
  if (!hub) throw new Error('installLive was not called')
  return hub
}

/**
 * Hands over every event of `topic` behind log position `since`, in log order, once. It begins as soon as `since` is
 * known, which is the position of the page's own first answer: nothing is missed between fetching and listening.
 */
export function useLiveTopic(
  topic: Ref<string | null>,
  since: Ref<number | null>,
  on: { events: (events: LiveEvent[]) => void; reset: () => void },
): void {
  const hub = useLiveHub()
  let leave: (() => void) | null = null
  watch([topic, () => since.value !== null], ([name, known]) => {
    leave?.()
    leave = null
    if (name !== null && known) {
      leave = hub.subscribe({ topic: name, through: since.value, onEvents: on.events, onReset: on.reset })
    }
  }, { immediate: true })
  onScopeDispose(() => leave?.())
}
