import { showHidden } from '@/shared/format'

/** A stretch of a log line with one look. `fg` and `bg`: 0 to 15 of the theme, or `rgb(…)`. */
export interface AnsiSpan {
  text: string
  fg: number | string | null
  bg: number | string | null
  bold: boolean
  dim: boolean
  italic: boolean
  underline: boolean
  strike: boolean
}

type Look = Omit<AnsiSpan, 'text'>

const PLAIN: Look = { fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, strike: false }

/**
 * SGR (`ESC [ … m`) becomes a look. Everything else that a terminal would obey is dropped: cursor moves, OSC (titles,
 * links, clipboard), DCS, the one-byte C1 forms, single escapes, other controls. An OSC that never ends takes
 * only its own line, because a line is all there is.
 */
const SEQUENCE = new RegExp(
  [
    '(?:\\x1b\\]|\\x9d)[^\\x07\\x1b\\x9c]*(?:\\x07|\\x1b\\\\|\\x9c|$)', // OSC
    '(?:\\x1b[PX^_]|[\\x90\\x98\\x9e\\x9f])[^\\x1b\\x9c]*(?:\\x1b\\\\|\\x9c|$)', // DCS, SOS, PM, APC
    '(?:\\x1b\\[|\\x9b)([0-?]*)[ -/]*([@-~]|$)', // CSI: parameters, final byte
    '\\x1b[ -/]*[0-~]?', // other escapes
    '[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f]', // other controls
  ].join('|'),
  'g',
)
const PARAMETERS = /^[\d;:]*$/

/** A progress bar that was not collapsed by its sender: what the terminal showed last. */
const lastFrame = (line: string): string => {
  // Not /\r+$/: on a line full of them that are not at its end it would take seconds.
  let end = line.length
  while (line[end - 1] === '\r') end -= 1
  return line.slice(line.lastIndexOf('\r', end - 1) + 1, end)
}

export function parseAnsi(line: string): AnsiSpan[] {
  const text = lastFrame(line)
  const spans: AnsiSpan[] = []
  let look = PLAIN
  let from = 0
  const push = (upTo: number): void => {
    if (upTo <= from) return
    const piece = showHidden(text.slice(from, upTo))
    const last = spans.at(-1)
    if (last && sameLook(last, look)) last.text += piece
    else spans.push({ text: piece, ...look })
  }
  for (const match of text.matchAll(SEQUENCE)) {
    push(match.index)
    from = match.index + match[0].length
    const parameters = match[1]
    if (match[2] === 'm' && parameters !== undefined && PARAMETERS.test(parameters)) look = applySgr(look, parameters)
  }
  push(text.length)
  return spans
}

/** The line as a reader sees it, without looks. */
export const plainText = (line: string): string => parseAnsi(line).map((span) => span.text).join('')

const sameLook = (a: Look, b: Look): boolean =>
  a.fg === b.fg && a.bg === b.bg && a.bold === b.bold && a.dim === b.dim && a.italic === b.italic
  && a.underline === b.underline && a.strike === b.strike

function applySgr(before: Look, parameters: string): Look {
  const codes = parameters.split(/[;:]/).map((code) => (code === '' ? 0 : Number(code)))
  let look = { ...before }
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0
    if (code === 38 || code === 48) {
      const [color, used] = extendedColor(codes.slice(at + 1))
      if (color !== null) look = code === 38 ? { ...look, fg: color } : { ...look, bg: color }
      at += used
    } else {
      look = simpleSgr(look, code)
    }
  }
  return look
}

function simpleSgr(look: Look, code: number): Look {
  if (code >= 30 && code <= 37) return { ...look, fg: code - 30 }
  if (code >= 90 && code <= 97) return { ...look, fg: code - 82 }
  if (code >= 40 && code <= 47) return { ...look, bg: code - 40 }
  if (code >= 100 && code <= 107) return { ...look, bg: code - 92 }
  switch (code) {
    case 0: return PLAIN
    case 1: return { ...look, bold: true }
    case 2: return { ...look, dim: true }
    case 3: return { ...look, italic: true }
    case 4: return { ...look, underline: true }
    case 9: return { ...look, strike: true }
    case 22: return { ...look, bold: false, dim: false }
    case 23: return { ...look, italic: false }
    case 24: return { ...look, underline: false }
    case 29: return { ...look, strike: false }
    case 39: return { ...look, fg: null }
    case 49: return { ...look, bg: null }
    default: return look
  }
}

/** The color behind 38 or 48, and how many codes it took. */
function extendedColor(codes: number[]): [number | string | null, number] {
  const [mode, a, b, c] = codes
  if (mode === 5 && a !== undefined && a <= 255) return [indexedColor(a), 2]
  if (mode === 2 && a !== undefined && b !== undefined && c !== undefined && [a, b, c].every((part) => part <= 255)) {
    return [`rgb(${a} ${b} ${c})`, 4]
  }
  return [null, codes.length]
}

function indexedColor(index: number): number | string {
  if (index < 16) return index
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10
    return `rgb(${grey} ${grey} ${grey})`
  }
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40)
  const cube = index - 16
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`
}
