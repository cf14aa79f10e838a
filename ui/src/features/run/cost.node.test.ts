import { describe, expect, it } from 'vitest'

import type { AttemptCost, CostReport, RunCosts } from '@/api/types'

import { amountOf, basisOf, exactUsd, missingOf, reportWords, secondsOf } from './costWords'
import { deletionNotice, whyNotMeasured } from './outputWords'

const attempt = (over: Partial<AttemptCost> = {}): AttemptCost => ({
  job_id: 'j', attempt: 1, number: 0, host: 'n1', instance_type: 'p4d', capacity: 'spot', cpus: 8, started_at: '2026-11-21T00:00:00Z',
  ended_at: '2026-11-21T01:00:00Z', outcome: 'succeeded', wasted: false, host_seconds: 3600, cost_usd: 10, if_spot_usd: 10, basis: 'computed', bill: null, ...over,
})
const bill = (over: Partial<CostReport> = {}): CostReport => ({
  received_at: '2026-11-22T00:00:00Z', position: 1, kind: 'cost_recorded', event_id: 'e', recorded_at: '2026-11-22T00:00:00Z', job_id: null, attempt: null,
  amount_usd: 12.5, basis: 'invoice', cost_usd: 12.5, wasted_usd: 0, ...over,
})
const costs = (attempts: AttemptCost[], history: CostReport[] = [], over: Partial<RunCosts> = {}): RunCosts => ({
  position: 1, batch_id: 'b', as_of: null, cost_usd: 10, wasted_usd: 0, if_all_spot_usd: 10, n_attempts: attempts.length, n_unpriced: 0, n_running: 0, attempts, history, ...over,
})

describe('what an attempt cost', () => {
  it('is its bill, where one says so of it alone', () => {
    const billed = (scope: 'run' | 'job' | 'attempt', over: Partial<AttemptCost> = {}): AttemptCost => attempt({ basis: 'recorded', bill: { scope, amount_usd: 7 }, ...over })
    const one = billed('attempt')
    expect(amountOf(one, [one])).toMatchObject({ usd: 7, replaced: false })
    expect(amountOf(billed('run'), [])).toMatchObject({ usd: 10, word: 'bill of the run', replaced: true })
    expect(amountOf(billed('job'), [])).toMatchObject({ usd: 10, word: 'bill of the job', replaced: true })
    expect(amountOf(one, [one, billed('attempt', { number: 1 })])).toMatchObject({ usd: 10, word: 'bill of the attempt', replaced: true })
  })
  it('is said exactly to whoever points at it, and lasts until it ends', () => {
    expect([exactUsd(0.000123), exactUsd(1234.5), exactUsd(null)]).toEqual(['$0.000123', '$1,234.50', undefined])
    expect([secondsOf(attempt()), secondsOf(attempt({ ended_at: null }))]).toEqual([3600, null])
  })
  it('is from bills, prices, or both', () => {
    expect(basisOf(costs([attempt()]))).toBe('the prices of machines')
    expect(basisOf(costs([attempt({ basis: 'recorded' })], [bill()]))).toBe('a bill')
    expect(basisOf(costs([], [bill()]))).toBe('a bill')
    expect(basisOf(costs([attempt(), attempt({ attempt: 2, basis: 'recorded' })]))).toBe('bills, and the prices of machines')
    expect(basisOf(costs([attempt({ basis: 'partly' })], [], { n_unpriced: 1 }))).toContain('at least')
  })
})

describe('what is missing', () => {
  const unknown = { cost_usd: null, wasted_usd: null, if_all_spot_usd: null }
  it('is the machine, where nobody has said which', () => {
    expect(missingOf(costs([], [], unknown))?.commands[0]).toBe('export ARGUS_INSTANCE_TYPE=TYPE')
    expect(missingOf(costs([attempt({ instance_type: null, basis: 'unknown_price', cost_usd: null })], [], { ...unknown, n_unpriced: 1 }))?.commands).toHaveLength(2)
  })
  it('is its price, said once for each machine and safe for a shell', () => {
    const one = attempt({ instance_type: "it's; rm", capacity: null, basis: 'unknown_price', cost_usd: null })
    expect(missingOf(costs([one, attempt({ ...one, attempt: 2 })], [], { ...unknown, n_unpriced: 2 }))?.commands).toEqual([
      "argus prices set 'it'\\''s; rm' --capacity on-demand --usd-per-hour 1.00 --from 2026-11-21",
    ])
  })
  it('is not what a bill of a job says, though no price is known for it', () => {
    const billed = attempt({ basis: 'recorded', cost_usd: null, bill: { scope: 'attempt', amount_usd: 7 } })
    const mixed = costs([billed, attempt({ attempt: 2 })], [bill({ job_id: 'j', attempt: 1 })], { n_running: 1 })
    expect([missingOf(mixed), basisOf(mixed)]).toEqual([null, 'bills, and the prices of machines'])
  })
  it('is nothing where a bill or prices say all, and time where it goes on', () => {
    expect(missingOf(costs([attempt()]))).toBeNull()
    expect(missingOf(costs([attempt({ basis: 'recorded' })], [bill()]))).toBeNull()
    expect(missingOf(costs([attempt({ basis: 'running', ended_at: null, cost_usd: null })], [], { ...unknown, n_running: 1 }))).toMatchObject({ commands: [] })
  })
})

describe('words', () => {
  it('tell a bill from a price', () => {
    expect(reportWords(bill())).toBe('Bill of the run: $12.50 (invoice)')
    expect(reportWords(bill({ job_id: 'j', attempt: 2, basis: null }))).toBe('Bill of j, attempt 2: $12.50')
    expect(reportWords(bill({ kind: 'price_recorded', instance_type: 'p4d', capacity: 'spot', usd_per_hour: 1.5, effective_from: '2026-01-01T00:00:00Z', recorded_by: 'ada' })))
      .toBe('Price of p4d (spot): $1.50 an hour from 2026-01-01 00:00 UTC on, said by ada')
  })
  it('say why nothing is measured', () => {
    expect(whyNotMeasured({ output_dir: null, output_bytes: null, status: 'succeeded' })).toContain('no output folder')
    expect(whyNotMeasured({ output_dir: '/mnt/x', output_bytes: null, status: 'succeeded' })).toContain('no s3:// address')
    expect(whyNotMeasured({ output_dir: 's3://b/x/', output_bytes: null, status: 'running' })).toContain('when the run has ended')
    expect(whyNotMeasured({ output_dir: 's3://b/x/', output_bytes: 0, status: 'succeeded' })).toBeNull()
  })
  it('say how a deletion stands', () => {
    const now = Date.parse('2026-11-21T00:00:00Z')
    expect(deletionNotice({ state: 'requested', due_at: '2026-11-21T00:10:00Z' }, now)).toContain('begins in 10 m 0 s')
    expect(deletionNotice({ state: 'requested', due_at: '2026-11-20T00:10:00Z' }, now)).toContain('about to begin')
    expect(deletionNotice({ state: 'running' }, now)).toBe('These outputs are being deleted.')
  })
})
