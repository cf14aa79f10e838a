import { parseEvents, parsePosition, parseStatus, type EventsFrame, type StatusFrame } from '@/api/live'

export interface StreamSinks {
  events: (frame: EventsFrame) => void
  status: (frame: StatusFrame) => void
  /** Everything of the topics up to here has been sent, although perhaps there was nothing to send. */
  reached: (position: number) => void
  reset: (position: number) => void
  /** The connection broke; it is not retried here. */
  broken: () => void
}

/** The server speaks at least every 5 s; silence for three times that is a dead connection. */
const SILENCE_MS = 15_000

/** One connection to `/api/stream` for these topics, behind log position `since`; null: from now on. */
export function openStream(topics: readonly string[], since: number | null, sinks: StreamSinks): () => void {
  const query = new URLSearchParams(topics.map((topic) => ['topics', topic]))
  if (since !== null) query.set('last_event_id', String(since))
  const source = new EventSource(`/api/stream?${query.toString()}`)
  let watchdog: ReturnType<typeof setTimeout> | null = null

  const close = (): void => {
    if (watchdog !== null) clearTimeout(watchdog)
    source.close()
  }
  const breakOff = (): void => {
    close()
    sinks.broken()
  }
  const heard = (): void => {
    if (watchdog !== null) clearTimeout(watchdog)
    watchdog = setTimeout(breakOff, SILENCE_MS)
  }
  const on = <T>(name: string, parse: (text: string) => T | null, sink: (frame: T) => void): void => {
    source.addEventListener(name, (event: MessageEvent<unknown>) => {
      heard()
      const frame = typeof event.data === 'string' ? parse(event.data) : null
      if (frame !== null) sink(frame)
      if (/^\d+$/.test(event.lastEventId)) sinks.reached(Number(event.lastEventId))
    })
  }
  heard()
  source.onopen = heard
  source.onerror = breakOff
  on('events', parseEvents, sinks.events)
  on('status', parseStatus, sinks.status)
  on('reset', parsePosition, sinks.reset)
  return close
}
