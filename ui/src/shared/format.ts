/** Numbers, sizes, spans and moments as people say them. Sorting never uses these: it uses the raw value. */

const NONE = '–'

/** At most four significant digits, scientific beyond 1e-4 and 1e6; NaN and infinity by name. */
export function formatNumber(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return NONE
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return infinityWord(value)
  if (typeof value === 'string') return value
  if (!Number.isFinite(value)) return infinityWord(String(value))
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString('en-US')
  const size = Math.abs(value)
  if (size < 1e-4 || size >= 1e6) return value.toExponential(2).replace('e+', 'e')
  if (size >= 1000) return Math.round(value).toLocaleString('en-US')
  return trimZeros(value.toPrecision(4))
}

function infinityWord(value: string): string {
  return value === 'Infinity' ? '∞' : value === '-Infinity' ? '−∞' : 'NaN'
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

export function formatCount(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : Math.round(value).toLocaleString('en-US')
}

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** Bytes in binary units: 1.2 GiB. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return NONE
  let value = Math.abs(bytes)
  let unit = 0
  while (value >= 1023.95 && unit < BINARY_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const sign = bytes < 0 ? '−' : ''
  const digits = unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)
  return `${sign}${trimZeros(digits)} ${BINARY_UNITS[unit] ?? 'B'}`
}

/** Money as people say it: $0.37, $12.40, $1,240, $1.24 M; what is more than nothing never reads $0. */
export function formatUsd(usd: number | null | undefined): string {
  if (usd === null || usd === undefined || !Number.isFinite(usd)) return NONE
  const size = Math.abs(usd)
  const sign = usd < 0 ? '−' : ''
  if (size === 0) return '$0'
  if (size < 0.01) return `${sign}<$0.01`
  if (size < 99.995) return `${sign}$${size.toFixed(2)}`
  if (size < 999_999.5) return `${sign}$${Math.round(size).toLocaleString('en-US')}`
  return `${sign}$${(size / 1e6).toLocaleString('en-US', { maximumFractionDigits: size < 1e7 ? 2 : 1 })} M`
}

/** On an axis: `$80`, not `$80.00`; and no two ticks read the same, however little it is: `$0.0024`. */
export function formatUsdTick(usd: number): string {
  if (Number.isInteger(usd) && Math.abs(usd) < 1e6) return `$${usd.toLocaleString('en-US')}`
  return Math.abs(usd) < 1 ? `${usd < 0 ? '−' : ''}$${trimZeros(Math.abs(usd).toLocaleString('en-US', { maximumSignificantDigits: 3 }))}` : formatUsd(usd)
}

/** `$14 – $61`; once where both ends read the same. */
export function formatUsdRange(min: number | null | undefined, max: number | null | undefined): string {
  const [low, high] = [formatUsd(min), formatUsd(max)]
  return low === high ? low : `${low} – ${high}`
}

/** 0 to 100, without a decimal above 10. */
export function formatPercent(percent: number | null | undefined): string {
  if (percent === null || percent === undefined || !Number.isFinite(percent)) return NONE
  return `${Math.abs(percent) >= 10 || Number.isInteger(percent) ? Math.round(percent) : percent.toFixed(1)} %`
}

/** 0 to 1 as a percentage that says 100 only when it is done, and 0 only where there is nothing. */
export function formatShare(share: number | null | undefined): string {
  if (share === null || share === undefined) return NONE
  if (share <= 0 || share >= 1) return share <= 0 ? '0 %' : '100 %'
  return share < 0.005 ? '<1 %' : `${Math.min(99, Math.round(share * 100))} %`
}

/** Seconds as `850 ms`, `12.4 s`, `3 m 20 s`, `3 h 12 m`, `5 d 4 h`. */
export function formatDuration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE
  const span = Math.max(0, seconds)
  if (span === 0) return '0 s'
  if (span < 1) return `${Math.max(1, Math.round(span * 1000))} ms`
  if (span < 9.95) return `${trimZeros(span.toFixed(1))} s`
  const whole = Math.round(span)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} m ${whole % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours} h ${minutes % 60} m`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** A ticking clock shows whole seconds only, so that it does not flicker. */
export function formatTicking(seconds: number | null | undefined): string {
  return formatDuration(seconds === null || seconds === undefined ? seconds : Math.floor(seconds))
}

/** Distance of `at` from `now`, both in epoch milliseconds: `4 minutes ago`, `in 2 hours`, `just now`. */
export function formatRelative(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000)
  const span = Math.abs(seconds)
  if (span < 5) return 'just now'
  const [count, unit] = relativeParts(span)
  const words = `${count} ${unit}${count === 1 ? '' : 's'}`
  return seconds >= 0 ? `${words} ago` : `in ${words}`
}

function relativeParts(span: number): [number, string] {
  if (span < 60) return [span, 'second']
  if (span < 3600) return [Math.round(span / 60), 'minute']
  if (span < 86_400) return [Math.round(span / 3600), 'hour']
  if (span < 30 * 86_400) return [Math.round(span / 86_400), 'day']
  if (span < 365 * 86_400) return [Math.round(span / (30 * 86_400)), 'month']
  return [Math.round(span / (365 * 86_400)), 'year']
}

const two = (value: number): string => String(value).padStart(2, '0')

/** `2026-11-21 14:03:09` in the reader's zone. */
export function formatLocal(at: number): string {
  const d = new Date(at)
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${formatClock(at)}`
}

/** `14:03:09` in the reader's zone. */
export function formatClock(at: number): string {
  const d = new Date(at)
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

/** `2026-11-21 13:03:09 UTC`. */
export function formatUtc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** Epoch milliseconds of an ISO moment, or null. */
export function moment(iso: string | null | undefined): number | null {
  if (!iso) return null
  const at = Date.parse(iso)
  return Number.isNaN(at) ? null : at
}

/** Cuts the middle, so that what tells two names apart (mostly the end) stays: `resnet50-imagenet…seed-17`. */
export function cutMiddle(text: string, max: number): string {
  const letters = Array.from(text)
  if (letters.length <= max) return text
  const head = Math.ceil((max - 1) * 0.6)
  const tail = max - 1 - head
  return `${letters.slice(0, head).join('')}…${letters.slice(letters.length - tail).join('')}`
}

const TAIL = 10
/** A shorter text is not worth cutting. */
const WORTH_CUTTING = 18
const WIDE = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Extended_Pictographic}/u

/** A text in two: what may be cut, and the end that stays. Never inside of what reads as one letter; a wide letter counts twice. */
export function splitTail(text: string): [string, string] {
  if (text.length < WORTH_CUTTING) return [text, '']
  const letters = Array.from(new Intl.Segmenter().segment(text.slice(-8 * TAIL)), ({ segment }) => segment)
  let tail = ''
  let width = 0
  for (const letter of letters.reverse()) {
    width += WIDE.test(letter) ? 2 : 1
    if (width > TAIL) break
    tail = letter + tail
  }
  return [text.slice(0, text.length - tail.length), tail]
}

/** Characters that would turn the direction of the text around them or hide: shown by number instead. */
const HIDDEN = /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g

export function showHidden(text: string): string {
  return text.replace(HIDDEN, (c) => `⟨U+${c.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0') ?? ''}⟩`)
}

const LOOKS = /\x1b\[[0-?]*[ -/]*[@-~]/g

/** The text of a coloured traceback: terminals' looks and cursor moves are left out. */
export const withoutLooks = (text: string): string => text.replace(LOOKS, '')

/** A cell of a CSV file that no spreadsheet takes for a formula (ASVS 1.2.10). Numbers stay numbers. */
export function csvCell(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const guarded = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\n\r']/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded
}

export function csv(rows: (string | number | null)[][]): string {
  return rows.map((row) => row.map(csvCell).join(',')).join('\r\n') + '\r\n'
}

/** An argv as one line that a POSIX shell reads back as the same argv. */
export function shellCommand(argv: readonly string[]): string {
  return argv.map((word) => (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ')
}
