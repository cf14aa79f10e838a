import type { LiveEvent } from '@/api/live'

import { topicNames } from './topics'

export interface Subscription {
  topic: string
  /** Log position up to which the page already knows everything of the topic; grows as events are handed over. */
  through: number | null
  onEvents: (events: LiveEvent[]) => void
  /** The stream cannot replay what was missed: the page fetches itself anew. */
  onReset: () => void
}

/** From where a stream must start so that no subscription misses anything; null: nobody has asked for the past. */
export function startOf(subscriptions: Iterable<{ through: number | null }>, cursor: number | null): number | null {
  let start = cursor
  for (const { through } of subscriptions) {
    if (through !== null && (start === null || through < start)) start = through
  }
  return start
}

/** Hands each subscription what is new to it, once, in log order. */
export function route(subscriptions: Iterable<Subscription>, events: readonly LiveEvent[], position: number): void {
  for (const subscription of subscriptions) {
    const through = subscription.through ?? -1
    let seen = through
    const fresh = events.filter((event) => {
      if (event.position <= seen || !topicNames(subscription.topic, event)) return false
      seen = event.position
      return true
    })
    subscription.through = Math.max(through, position)
    if (fresh.length > 0) subscription.onEvents(fresh)
  }
}
