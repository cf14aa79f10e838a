import { shallowRef, type ShallowRef } from 'vue'

import type { EventsFrame } from '@/api/live'

import type { LiveHealth, LiveState } from './health'
import { createLeadership, type Leadership, type PeerTopics } from './leadership'
import { route, startOf, type Subscription } from './routing'
import { openStream } from './stream'

export interface LiveHub {
  health: ShallowRef<LiveHealth>
  /** `through`: the log position of what the page has fetched. Returns the way to unsubscribe. */
  subscribe: (subscription: Subscription) => () => void
  close: () => void
}

const RETRY_MS = [500, 1000, 2000, 4000, 8000]
const OFFLINE_AFTER_MS = 30_000

/**
 * One stream per browser for everything that its pages show. The tab that leads holds it and tells the others
 * what it hears; a hidden tab gives the lead away and later goes on from where it stood.
 */
export function createLiveHub(): LiveHub {
  const health = shallowRef<LiveHealth>({ state: 'idle', lagSeconds: 0, since: Date.now() })
  const mine = new Set<Subscription>()
  let cursor: number | null = null
  let peers: PeerTopics[] = []
  let closeStream: (() => void) | null = null
  let openTopics = ''
  let openSince: number | null = null
  let retry: ReturnType<typeof setTimeout> | null = null
  let settle: ReturnType<typeof setTimeout> | null = null
  let failures = 0
  let brokenSince: number | null = null
  let pending: EventsFrame[] = []
  let frame: number | null = null

  function report(state: LiveState, lagSeconds = 0): void {
    const now = health.value
    if (now.state === state && now.lagSeconds === lagSeconds) return
    health.value = { state, lagSeconds, since: now.state === state ? now.since : Date.now() }
    if (leadership.leads()) leadership.tellHealth(state, lagSeconds)
  }

  function take(next: EventsFrame): void {
    cursor = Math.max(cursor ?? 0, next.position)
    pending.push(next)
    // One pass per drawn frame, however many frames the server sent meanwhile.
    frame ??= requestAnimationFrame(flush)
  }

  function flush(): void {
    frame = null
    const frames = pending
    pending = []
    const last = frames.at(-1)
    if (last) route([...mine], frames.flatMap((one) => one.events), last.position)
  }

  function reset(position: number): void {
    cursor = position
    pending = []
    for (const subscription of [...mine]) {
      subscription.through = position
      subscription.onReset()
    }
  }

  const wanted = (): string[] => [...new Set([...[...mine].map((one) => one.topic), ...peers.flatMap((peer) => peer.topics.map((one) => one.topic))])].sort()

  function stop(): void {
    closeStream?.()
    closeStream = null
    openTopics = ''
    if (retry !== null) clearTimeout(retry)
    retry = null
  }

  function connect(): void {
    if (!leadership.leads()) return
    const topics = wanted()
    if (topics.length === 0) {
      stop()
      report('idle')
      return
    }
    const since = startOf([...mine, ...peers.flatMap((peer) => peer.topics)], cursor)
    const reaches = since === null || (openSince !== null && since >= openSince)
    if (closeStream && openTopics === topics.join() && reaches) return
    stop()
    openTopics = topics.join()
    openSince = since
    peers = peers.map(({ tab, topics: theirs }) => ({ tab, topics: theirs.map(({ topic }) => ({ topic, through: null })) }))
    if (brokenSince === null && health.value.state !== 'live') report('connecting')
    closeStream = openStream(topics, since, {
      events: (next) => {
        take(next)
        leadership.tellEvents(next)
        openSince = cursor
      },
      status: (next) => {
        failures = 0
        brokenSince = null
        report(next.state === 'live' && next.lag_seconds < 3 ? 'live' : 'behind', Math.round(next.lag_seconds))
      },
      reached: (position) => {
        if (cursor !== null && position <= cursor) return
        take({ position, events: [] })
        leadership.tellEvents({ position, events: [] })
        openSince = cursor
      },
      reset: (position) => {
        leadership.tellReset(position)
        reset(position)
      },
      broken,
    })
  }

  function broken(): void {
    closeStream = null
    openTopics = ''
    brokenSince ??= Date.now()
    report(!navigator.onLine || Date.now() - brokenSince > OFFLINE_AFTER_MS ? 'offline' : 'reconnecting')
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 8000
    failures += 1
    retry = setTimeout(connect, wait * (0.8 + Math.random() * 0.4))
  }

  /** Subscriptions come and go in bursts when a page changes: one reconnection for all of them. */
  function changed(): void {
    if (settle !== null) return
    settle = setTimeout(() => {
      settle = null
      leadership.tellTopics([...mine].map(({ topic, through }) => ({ topic, through })))
      connect()
    }, 60)
  }

  const leadership: Leadership = createLeadership({
    gained: () => changed(),
    lost: stop,
    peers: (next) => {
      // A position that no stream has started from yet is not forgotten when the same peer speaks again.
      const waiting = peers
      peers = next.map(({ tab, topics }) => ({
        tab,
        topics: topics.map(({ topic, through }) => ({
          topic, through: through ?? waiting.find((peer) => peer.tab === tab)?.topics.find((one) => one.topic === topic)?.through ?? null,
        })),
      }))
      leadership.tellHealth(health.value.state, health.value.lagSeconds)
      changed()
    },
    events: take,
    reset,
    health: (state, lagSeconds) => {
      health.value = { state, lagSeconds, since: health.value.state === state ? health.value.since : Date.now() }
    },
    topics: () => [...mine].map(({ topic, through }) => ({ topic, through })),
  })

  const online = (): void => {
    failures = 0
    if (leadership.leads() && closeStream === null) connect()
  }
  /** The browser tells at once what the stream would show by its silence. Where Argus is in reach all the same, the next attempt says so. */
  const offline = (): void => {
    if (!leadership.leads() || closeStream === null) return
    stop()
    broken()
  }
  window.addEventListener('online', online)
  window.addEventListener('offline', offline)

  return {
    health,
    subscribe(subscription) {
      mine.add(subscription)
      changed()
      return () => {
        mine.delete(subscription)
        changed()
      }
    },
    close() {
      window.removeEventListener('online', online)
      window.removeEventListener('offline', offline)
      if (frame !== null) cancelAnimationFrame(frame)
      stop()
      leadership.close()
    },
  }
}
