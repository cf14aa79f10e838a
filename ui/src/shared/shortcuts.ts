import { onScopeDispose } from 'vue'

/** Keys of a page. A key is one character, a named key, or two characters in a row (`g r`). */
export type Shortcuts = Record<string, (event: KeyboardEvent) => void>

const SEQUENCE_MS = 1200

/** A checkbox takes no text: beside it, the keys of the page go on working. */
const typesInto = (target: EventTarget | null): boolean => {
  if (target instanceof HTMLInputElement) return target.type !== 'checkbox'
  return target instanceof HTMLElement && (target.isContentEditable || ['TEXTAREA', 'SELECT'].includes(target.tagName))
}

/** A button, checkbox or fold keeps its own Enter and space, a link its Enter. */
function isItsOwn(key: string, target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return key === 'Enter' ? ['BUTTON', 'A', 'SUMMARY'].includes(target.tagName) : key === ' ' && ['BUTTON', 'INPUT', 'SUMMARY'].includes(target.tagName)
}

/** Listens as long as the calling component lives; silent while somebody types or a dialog is open. */
export function useShortcuts(shortcuts: Shortcuts): void {
  let first = ''
  let firstAt = 0
  const listen = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    if (typesInto(event.target) || document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]')) return
    const pair = Date.now() - firstAt < SEQUENCE_MS ? `${first} ${event.key}` : ''
    const action = shortcuts[pair] ?? shortcuts[event.key]
    first = event.key
    firstAt = Date.now()
    if (!action) return
    if (isItsOwn(event.key, event.target)) return
    event.preventDefault()
    first = ''
    action(event)
  }
  window.addEventListener('keydown', listen)
  onScopeDispose(() => window.removeEventListener('keydown', listen))
}

export const SHORTCUTS: readonly { group: string; keys: readonly [string, string][] }[] = [
  { group: 'Everywhere', keys: [['Ctrl K', 'find anything'], ['/', 'search'], ['g r', 'runs'], ['g d', 'dashboard'], ['g k', 'API keys'], ['?', 'these shortcuts']] },
  { group: 'Lists', keys: [['j', 'next row'], ['k', 'previous row'], ['Home End', 'first, last row'], ['← ↑ ↓ →', 'from tile to tile in the matrix'], ['Enter', 'open'], ['x', 'select'], ['a', 'select the whole page of the dashboard'], ['n p', 'next, previous page of the dashboard'], ['d', 'delete outputs of the selected runs of the dashboard'], ['m', 'jobs as table or matrix'], ['Esc', 'clear the selection']] },
  { group: 'Charts', keys: [['drag', 'zoom in'], ['Shift drag', 'move along'], ['dbl click', 'reset'], ['← →', 'from point to point'], ['Shift ← →', 'move along'], ['l', 'logarithmic scale'], ['t', 'x by step or by time'], ['0', 'reset the zoom']] },
  { group: 'Log', keys: [['f', 'follow the end'], ['w', 'wrap long lines']] },
]
