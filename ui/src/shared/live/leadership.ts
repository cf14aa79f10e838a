import type { EventsFrame } from '@/api/live'

import type { LiveState } from './health'

export interface TopicFrom { topic: string; through: number | null }
export interface PeerTopics { tab: string; topics: TopicFrom[] }

interface Sinks {
  gained: () => void
  lost: () => void
  /** What the other visible tabs want; only the leader is told. */
  peers: (peers: PeerTopics[]) => void
  events: (frame: EventsFrame) => void
  reset: (position: number) => void
  health: (state: LiveState, lagSeconds: number) => void
  topics: () => TopicFrom[]
}

export interface Leadership {
  leads: () => boolean
  tellEvents: (frame: EventsFrame) => void
  tellReset: (position: number) => void
  tellHealth: (state: LiveState, lagSeconds: number) => void
  tellTopics: (topics: TopicFrom[]) => void
  close: () => void
}

type Message =
  | { say: 'events'; frame: EventsFrame }
  | { say: 'reset'; position: number }
  | { say: 'health'; state: LiveState; lagSeconds: number }
  | { say: 'topics'; tab: string; topics: TopicFrom[] }
  | { say: 'who' }

const HIDDEN_GRACE_MS = 5000
const PEER_BEAT_MS = 10_000
const PEER_GONE_MS = 25_000

/**
 * Exactly one visible tab of this browser leads, by a Web Lock. Where there are no locks (plain HTTP on another
 * machine's name), every visible tab leads for itself.
 */
export function createLeadership(sinks: Sinks): Leadership {
  const shared = 'locks' in navigator && typeof BroadcastChannel === 'function'
  const channel = shared ? new BroadcastChannel('argus.live') : null
  const tab = Math.random().toString(36).slice(2)
  const peers = new Map<string, { topics: TopicFrom[]; heard: number }>()
  let leading = false
  let wanting: AbortController | null = null
  let release: (() => void) | null = null
  let hiding: ReturnType<typeof setTimeout> | null = null

  const say = (message: Message): void => channel?.postMessage(message)

  function gain(): void {
    leading = true
    peers.clear()
    say({ say: 'who' })
    sinks.gained()
  }

  function want(): void {
    if (leading || wanting) return
    if (!shared) {
      gain()
      return
    }
    say({ say: 'topics', tab, topics: sinks.topics() })
    wanting = new AbortController()
    navigator.locks
      .request('argus.live', { signal: wanting.signal }, () => {
        gain()
        return new Promise<void>((resolve) => (release = resolve))
      })
      .catch(() => {
        // aborted: this tab was hidden before its turn came
      })
  }

  function yieldLead(): void {
    const led = leading
    leading = false
    if (release) release()
    else wanting?.abort()
    release = null
    wanting = null
    if (led) sinks.lost()
    say({ say: 'topics', tab, topics: [] })
  }

  function tellPeers(): void {
    sinks.peers([...peers].map(([name, { topics }]) => ({ tab: name, topics })))
  }

  if (channel) {
    channel.onmessage = ({ data }: MessageEvent<Message>): void => {
      const visible = document.visibilityState === 'visible'
      if (data.say === 'topics') {
        if (!leading) return
        const known = new Set(peers.get(data.tab)?.topics.map((one) => one.topic))
        const fresh = data.topics.filter((one) => !known.has(one.topic))
        if (data.topics.length === 0) peers.delete(data.tab)
        // What a peer has long been told of needs no replay: only a topic that is new brings its position.
        else peers.set(data.tab, { topics: data.topics.map((one) => (known.has(one.topic) ? { ...one, through: null } : one)), heard: Date.now() })
        if (fresh.length > 0 || known.size !== data.topics.length) tellPeers()
      } else if (data.say === 'who') {
        if (visible) say({ say: 'topics', tab, topics: sinks.topics() })
      } else if (visible && !leading) {
        if (data.say === 'events') sinks.events(data.frame)
        else if (data.say === 'reset') sinks.reset(data.position)
        else sinks.health(data.state, data.lagSeconds)
      }
    }
  }
  const beat = setInterval(() => {
    if (leading) {
      const gone = [...peers].filter(([, peer]) => Date.now() - peer.heard > PEER_GONE_MS)
      for (const [name] of gone) peers.delete(name)
      if (gone.length > 0) tellPeers()
    } else if (document.visibilityState === 'visible') {
      say({ say: 'topics', tab, topics: sinks.topics() })
    }
  }, PEER_BEAT_MS)

  const onVisibility = (): void => {
    if (hiding !== null) clearTimeout(hiding)
    hiding = null
    if (document.visibilityState === 'visible') want()
    else hiding = setTimeout(yieldLead, HIDDEN_GRACE_MS)
  }
  document.addEventListener('visibilitychange', onVisibility)
  if (document.visibilityState === 'visible') queueMicrotask(want)

  return {
    leads: () => leading,
    tellEvents: (frame) => say({ say: 'events', frame }),
    tellReset: (position) => say({ say: 'reset', position }),
    tellHealth: (state, lagSeconds) => say({ say: 'health', state, lagSeconds }),
    tellTopics: (topics) => {
      if (!leading) say({ say: 'topics', tab, topics })
    },
    close() {
      clearInterval(beat)
      document.removeEventListener('visibilitychange', onVisibility)
      yieldLead()
      channel?.close()
    },
  }
}
