import { onScopeDispose } from 'vue'

/** Keys of a page. A key is one character, a named key, or two characters in a row (`g r`). */
export type Shortcuts = Record<string, (event: KeyboardEvent) => void>

const SEQUENCE_MS = 1200

const typesInto = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))

/** Listens as long as the calling component lives; silent while somebody types or a dialog is open. */
export function useShortcuts(shortcuts: Shortcuts): void {
  let first = ''
  let firstAt = 0
  const listen = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    if (typesInto(event.target) || document.querySelector('[role="dialog"], [role="menu"]')) return
    const pair = Date.now() - firstAt < SEQUENCE_MS ? `${first} ${event.key}` : ''
    const action = shortcuts[pair] ?? shortcuts[event.key]
    first = event.key
    firstAt = Date.now()
    if (!action) return
    // A button or link keeps its own Enter and space.
    if ((event.key === 'Enter' || event.key === ' ') && event.target instanceof HTMLElement && ['BUTTON', 'A'].includes(event.target.tagName)) return
    event.preventDefault()
    first = ''
    action(event)
  }
  window.addEventListener('keydown', listen)
  onScopeDispose(() => window.removeEventListener('keydown', listen))
}

export const SHORTCUTS: readonly { group: string; keys: readonly [string, string][] }[] = [
  { group: 'Everywhere', keys: [['Ctrl K', 'find anything'], ['/', 'search'], ['g r', 'runs'], ['g k', 'API keys'], ['?', 'these shortcuts']] },
  { group: 'Lists', keys: [['j', 'next row'], ['k', 'previous row'], ['Home End', 'first, last row'], ['← ↑ ↓ →', 'from tile to tile in the matrix'], ['Enter', 'open'], ['x', 'select'], ['m', 'jobs as table or matrix'], ['Esc', 'clear the selection']] },
  { group: 'Charts', keys: [['drag', 'zoom in'], ['Shift drag', 'move along'], ['dbl click', 'reset'], ['← →', 'from point to point'], ['Shift ← →', 'move along'], ['l', 'logarithmic scale'], ['t', 'x by step or by time'], ['0', 'reset the zoom']] },
  { group: 'Log', keys: [['f', 'follow the end'], ['w', 'wrap long lines']] },
]
