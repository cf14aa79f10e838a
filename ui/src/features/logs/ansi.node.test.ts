import { describe, expect, it } from 'vitest'

import { parseAnsi, plainText } from './ansi'

const looks = (line: string) => parseAnsi(line).map(({ text, fg, bg, bold }) => ({ text, fg, bg, bold }))

describe('parseAnsi', () => {
  it('turns SGR into looks and back', () => {
    expect(looks('a\x1b[1;31mred\x1b[0m b')).toEqual([
      { text: 'a', fg: null, bg: null, bold: false },
      { text: 'red', fg: 1, bg: null, bold: true },
      { text: ' b', fg: null, bg: null, bold: false },
    ])
    expect(looks('\x1b[92mok\x1b[39m')).toEqual([{ text: 'ok', fg: 10, bg: null, bold: false }])
  })

  it('knows 256 and true colours, and takes no other number for one', () => {
    expect(looks('\x1b[38;5;196mx')[0]?.fg).toBe('rgb(255 0 0)')
    expect(looks('\x1b[38;5;244mx')[0]?.fg).toBe('rgb(128 128 128)')
    expect(looks('\x1b[48;2;1;2;3mx')[0]?.bg).toBe('rgb(1 2 3)')
    expect(looks('\x1b[38;2;999;0;0mx')[0]?.fg).toBeNull()
    expect(looks('\x1b[38;5mx')[0]).toMatchObject({ text: 'x', fg: null })
  })

  it.each([
    ['a link', '\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x07', 'click'],
    ['the clipboard', 'a\x1b]52;c;ZXZpbA==\x07b', 'ab'],
    ['a title that never ends', 'a\x1b]0;title', 'a'],
    ['cursor moves', 'a\x1b[2J\x1b[10;10Hb', 'ab'],
    ['one-byte CSI', 'a\x9b31mb', 'ab'],
    ['a device string', 'a\x1bPq#0~~\x1b\\b', 'ab'],
    ['single escapes', 'a\x1bcb\x1b(Bc', 'abc'],
    ['other controls', 'a\x00\x08\x0bb', 'ab'],
    ['a half sequence at the end', 'a\x1b[', 'a'],
    ['private SGR', 'a\x1b[?25lb\x1b[>4mc', 'abc'],
  ])('drops %s', (_, line, text) => expect(plainText(line)).toBe(text))

  it.each([
    ['carriage returns', '\r'.repeat(200_000) + 'x', 'x'],
    ['half sequences', '\x1b['.repeat(100_000) + 'mx', 'x'],
    ['numbers without an end', '\x1b[' + '0'.repeat(200_000) + '\u00e9', '\u00e9'],
    ['links without an end', '\x1b]8'.repeat(70_000) + '\x07x', 'x'],
  ])('takes a long line of %s in its stride', (_, line, end) => expect(plainText(line).slice(-1)).toBe(end))

  it('shows the last frame of a progress bar', () => {
    expect(['a\rb', 'a\rb\r\r', '\r', '', 'a\r\n'].map(plainText)).toEqual(['b', 'b', '', '', ''])
  })

  it('keeps markup as the text that it is, tabs included', () => {
    const line = '<img src=x onerror=alert(1)>\t{{constructor}}'
    expect(parseAnsi(line)).toHaveLength(1)
    expect(plainText(line)).toBe(line)
  })

  it('shows what would turn the direction of the text', () => {
    expect(plainText('user\u202egnp.exe')).toBe('user⟨U+202E⟩gnp.exe')
  })

  it('shows the last frame of a progress bar', () => {
    expect(plainText('10%\r50%\r100%\r')).toBe('100%')
  })

  it('ends on any input in time that grows with its length', () => {
    const started = performance.now()
    for (const piece of ['\x1b]', '\x1b[', '\x1bP', '\x9b1;', '\x1b]8;;']) parseAnsi(piece.repeat(8000))
    expect(performance.now() - started).toBeLessThan(1000)
  })
})
