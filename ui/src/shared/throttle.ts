import { onScopeDispose } from 'vue'

/** Runs `work` soon, and then at most once per `interval_ms`; the last call is never lost. Stops with its scope. */
export function useThrottled(work: () => void, interval_ms: number): () => void {
  let last = 0
  let timer: ReturnType<typeof setTimeout> | null = null
  onScopeDispose(() => {
    if (timer !== null) clearTimeout(timer)
  })
  return () => {
    if (timer !== null) return
    timer = setTimeout(() => {
      timer = null
      last = Date.now()
      work()
    }, Math.max(50, last + interval_ms - Date.now()))
  }
}

/** How many times as long as drawing took the page has for everything else. */
const REST = 3

/**
 * Runs `work` at once, and then not again before the page has drawn the result and rested three times as long, and at
 * least `least_ms`: a slow machine stays usable, a fast one draws no more than an eye reads. The last call is never lost.
 * Stops with its scope.
 */
export function usePaced(work: () => void, least_ms = 0): () => void {
  let timer: ReturnType<typeof setTimeout> | null = null
  let frame: number | null = null
  let isWanted = false
  onScopeDispose(() => {
    if (timer !== null) clearTimeout(timer)
    if (frame !== null) cancelAnimationFrame(frame)
  })
  function run(): void {
    isWanted = false
    const began = performance.now()
    work()
    // The frame callback comes before the drawing, the timer that it sets after.
    frame = requestAnimationFrame(() => {
      frame = null
      timer = setTimeout(() => {
        timer = setTimeout(() => {
          timer = null
          if (isWanted) run()
        }, Math.max(least_ms, REST * (performance.now() - began)))
      })
    })
  }
  return () => {
    if (timer !== null || frame !== null) isWanted = true
    else run()
  }
}
