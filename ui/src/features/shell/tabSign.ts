import { formatShare } from '@/shared/format'

/** What the tab of a browser says of a run or job beside its name, for whoever has ten of them open. */
export interface TabState { status: string; progress: number | null }

const SIGNS: Readonly<Record<string, string>> = { queued: '…', succeeded: '✓', cached: '✓', failed: '✕', aborted: '■' }
/** On the dark ground of the icon, whatever the theme. */
const COLORS: Readonly<Record<string, string>> = { queued: '#8b94a3', running: '#5c9cff', stopping: '#e0ac3c', succeeded: '#43b872', cached: '#37b6bd', failed: '#f36a63', aborted: '#f2954a' }
const PLAIN = '/argus.svg'

export function tabTitle(title: string, state: TabState | null): string {
  const sign = state === null ? '' : (SIGNS[state.status] ?? (state.progress === null ? '▶' : formatShare(state.progress)))
  return `${sign === '' ? '' : `${sign} `}${title} · Argus`
}

/** The eye of Argus with a dot of the status in its corner. */
export function tabIcon(state: TabState | null): string {
  const color = state === null ? undefined : COLORS[state.status]
  if (color === undefined) return PLAIN
  const eye = '<rect width="32" height="32" rx="7" fill="#15181e"/><path d="M4.5 16C8 10.2 11.8 8 16 8s8 2.2 11.5 8C24 21.8 20.2 24 16 24S8 21.8 4.500 16Z" fill="none" stroke="#8fb0ff" stroke-width="2.2" stroke-linejoin="round"/><circle cx="16" cy="16" r="4.2" fill="#8fb0ff"/>'
  const dot = `<circle cx="24" cy="24" r="8" fill="${color}" stroke="#15181e" stroke-width="2.5"/>`
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${eye}${dot}</svg>`)}`
}

export function showTab(title: string, state: TabState | null): void {
  document.title = tabTitle(title, state)
  const link = document.querySelector('link[rel="icon"]')
  const icon = tabIcon(state)
  if (link && link.getAttribute('href') !== icon) link.setAttribute('href', icon)
}
