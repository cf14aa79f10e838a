export type LiveState = 'idle' | 'connecting' | 'live' | 'behind' | 'reconnecting' | 'offline'
/** How fresh what the pages show is. `since`: when `state` began, milliseconds of this browser's clock. */
export interface LiveHealth { state: LiveState; lagSeconds: number; since: number }
