import { describe, expect, it } from 'vitest'

import {
  csv, cutMiddle, formatBytes, formatDuration, formatNumber, formatPercent, formatRelative, formatShare, formatTicking,
  formatUsd, formatUsdRange, formatUsdTick, formatUtc, moment, shellCommand, showHidden, splitTail, withoutLooks,
} from './format'

describe('formatNumber', () => {
  it.each([
    [0.0312, '0.0312'], [0.031249, '0.03125'], [2.5, '2.5'], [1.0, '1'], [12345.6, '12,346'], [0.00001, '1.00e-5'],
    [3.2e9, '3.20e9'], [0, '0'], [-0.5, '-0.5'], [1234, '1,234'], [1e6, '1.00e6'], [null, '–'],
    ['NaN', 'NaN'], ['Infinity', '∞'], ['-Infinity', '−∞'], [Number.NaN, 'NaN'],
  ])('%s reads %s', (value, text) => expect(formatNumber(value)).toBe(text))
})

describe('sizes and shares', () => {
  it.each([[0, '0 B'], [1023, '1023 B'], [1024, '1 KiB'], [1_288_490_189, '1.2 GiB'], [1_048_575, '1 MiB'], [85 * 2 ** 30, '85 GiB'], [null, '–']])(
    '%s bytes read %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))
  it.each([[9 / 17, '53 %'], [0.9999, '99 %'], [1, '100 %'], [1.2, '100 %'], [0, '0 %'], [0.001, '<1 %'], [0.005, '1 %'], [null, '–']])(
    'a share of %s reads %s', (share, text) => expect(formatShare(share)).toBe(text))
  it('says a percentage with a decimal only where it matters', () => {
    expect(formatPercent(4.25)).toBe('4.3 %')
    expect(formatPercent(97.6)).toBe('98 %')
  })
})

describe('money', () => {
  it.each([[0, '$0'], [0.004, '<$0.01'], [0.37, '$0.37'], [12.4, '$12.40'], [99.999, '$100'], [1240.3, '$1,240'], [1_240_000, '$1.24 M'], [-3, '−$3.00'], [null, '–']])(
    '%s reads %s', (usd, text) => expect(formatUsd(usd)).toBe(text))
  it.each([[80, '$80'], [1500, '$1,500'], [0.5, '$0.5'], [0.0024, '$0.0024'], [2.5, '$2.50'], [2e6, '$2 M']])('%s on an axis reads %s', (usd, text) => expect(formatUsdTick(usd)).toBe(text))
  it('says a range once where both ends read the same', () => {
    expect(formatUsdRange(14.2, 61)).toBe('$14.20 – $61.00')
    expect(formatUsdRange(0, 0)).toBe('$0')
    expect(formatUsdRange(null, null)).toBe('–')
  })
})

describe('spans and moments', () => {
  it.each([[0.85, '850 ms'], [1.24, '1.2 s'], [12.4, '12 s'], [200, '3 m 20 s'], [11_520, '3 h 12 m'], [450_000, '5 d 5 h'], [59.7, '1 m 0 s'], [null, '–']])(
    '%s s reads %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text))
  it('ticks in whole seconds', () => expect(formatTicking(3.99)).toBe('3 s'))
  it.each([[0, 'just now'], [30, '30 seconds ago'], [60, '1 minute ago'], [240, '4 minutes ago'], [7200, '2 hours ago'], [-7200, 'in 2 hours'], [86_400 * 3, '3 days ago']])(
    '%s s before now is %s', (seconds, text) => expect(formatRelative(1_000_000_000 - seconds * 1000, 1_000_000_000)).toBe(text))
  it('keeps UTC beside the local time', () => {
    const at = moment('2026-11-21T13:03:09.123456Z')
    expect(at).not.toBeNull()
    expect(formatUtc(at ?? 0)).toBe('2026-11-21 13:03:09 UTC')
    expect(moment('yesterday')).toBeNull()
  })
})

describe('text of strangers', () => {
  it('keeps both ends of a long name', () => {
    expect(cutMiddle('resnet50-imagenet-augmented-seed-17', 20)).toBe('resnet50-ima…seed-17')
    expect(cutMiddle('short', 20)).toBe('short')
    expect(Array.from(cutMiddle('🙂'.repeat(40), 11))).toHaveLength(11)
  })
  it('keeps the end of a name that may be cut to any width', () => {
    expect(splitTail('resnet50-imagenet-2026-11-08')).toEqual(['resnet50-imagenet-', '2026-11-08'])
    expect(splitTail('a short name')).toEqual(['a short name', ''])
    expect(splitTail(`${'模型训练'.repeat(9)}-08`)[1]).toBe('型训练-08')
    const family = '👨‍👩‍👧'
    expect(splitTail(family.repeat(9))).toEqual([family.repeat(4), family.repeat(5)])
    expect(splitTail('x'.repeat(5000)).join('')).toHaveLength(5000)
  })
  it('shows what would turn the text around', () => {
    expect(showHidden('abc\u202edef')).toBe('abc⟨U+202E⟩def')
    expect(showHidden('plain')).toBe('plain')
    expect(withoutLooks('\x1b[1;31mValueError\x1b[0m: a [b] \x1b[2K')).toBe('ValueError: a [b] ')
  })
  it('never lets a cell become a formula', () => {
    expect(csv([['=HYPERLINK("x")', 'a,b', -1.5, null]])).toBe(`"'=HYPERLINK(""x"")","a,b",-1.5,\r\n`)
    expect(csv([['@cmd', '-x']])).toBe(`"'@cmd","'-x"\r\n`)
  })
  it('writes a command that a shell reads back as the same words', () => {
    expect(shellCommand(['python', 'train.py', '--name', "it's $HOME", ''])).toBe(`python train.py --name 'it'\\''s $HOME' ''`)
  })
})
