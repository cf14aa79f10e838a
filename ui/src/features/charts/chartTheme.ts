/** What a chart takes from the tokens. */
export interface ChartTheme {
  ink: string
  faint: string
  line: string
  ground: string
  failed: string
  font: string
  palette: string[]
}

export function readChartTheme(): ChartTheme {
  const style = getComputedStyle(document.documentElement)
  const token = (name: string): string => style.getPropertyValue(name).trim()
  return {
    ink: token('--ink-soft'),
    faint: token('--ink-faint'),
    line: token('--line'),
    ground: token('--ground'),
    failed: token('--status-failed'),
    font: token('--font-ui'),
    palette: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => token(`--series-${n}`)),
  }
}

/** A map: `constructor` is a name like any other. */
const FIXED: ReadonlyMap<string, number> = new Map([['train_loss', 0], ['loss', 0], ['val_loss', 1], ['cpu_pct', 3], ['rss_bytes', 4], ['memory_used_bytes', 2]])

/** Places in the palette: the same name has the same colour on every page, as long as two on one chart do not meet. */
export function colorIndexes(keys: readonly string[], nColors: number): Map<string, number> {
  const taken = new Set<number>()
  const result = new Map<string, number>()
  const ordered = [...keys].sort((a, b) => Number(FIXED.has(b)) - Number(FIXED.has(a)))
  for (const key of ordered) {
    const home = FIXED.get(key) ?? 2 + (hash(key) % Math.max(1, nColors - 2))
    let at = home % nColors
    for (let tries = 0; taken.has(at) && tries < nColors; tries += 1) at = (at + 1) % nColors
    taken.add(at)
    result.set(key, at)
  }
  return result
}

function hash(text: string): number {
  let value = 2166136261
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 16777619) >>> 0
  return value
}
