import type { AttemptCost, CostReport, RunCosts } from '@/api/types'
import { cutMiddle, formatCount, formatUsd, shellCommand, showHidden } from '@/shared/format'

type Machine = Pick<AttemptCost, 'instance_type' | 'capacity'>

/** To the millionth of a dollar: for whoever points at an amount that is rounded. */
export const exactUsd = (usd: number | null | undefined): string | undefined =>
  usd === null || usd === undefined ? undefined : `$${usd.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`

/** Who does not say is on demand, as the division has it. */
export const capacityOf = ({ capacity }: Pick<Machine, 'capacity'>): 'spot' | 'on-demand' => capacity ?? 'on-demand'

const MOST_LETTERS = 32
const short = (text: string): string => cutMiddle(showHidden(text), MOST_LETTERS)

export function machineWords(machine: Machine): string {
  return machine.instance_type === null ? 'not stated' : `${short(machine.instance_type)} · ${capacityOf(machine)}`
}

/** Those whose amount is missing, or is a part of it. */
const unpricedOf = (attempts: readonly AttemptCost[]): AttemptCost[] => attempts.filter((one) => one.basis === 'unknown_price' || one.basis === 'partly')

export function secondsOf({ started_at, ended_at }: Pick<AttemptCost, 'started_at' | 'ended_at'>): number | null {
  return ended_at === null ? null : Math.max(0, (Date.parse(ended_at) - Date.parse(started_at)) / 1000)
}

export const BASIS_WORDS: Readonly<Record<AttemptCost['basis'], { word: string; why: string }>> = {
  recorded: { word: 'bill', why: 'A bill counts' },
  computed: { word: 'price', why: 'Its share of the price of the machine' },
  partly: { word: 'price, in part', why: 'For a part of the time no price is known' },
  unknown_price: { word: 'no price known', why: 'For all of the time no price is known' },
  running: { word: 'not over', why: 'What is not over is not divided yet' },
}

export interface Amount { usd: number | null; word: string; why: string; /** A bill of more than this attempt counts instead. */ replaced: boolean }

/** What an attempt cost, as far as it can be said of it alone: a bill of more than this one start is not divided. */
export function amountOf(one: AttemptCost, attempts: readonly AttemptCost[]): Amount {
  const { word, why } = BASIS_WORDS[one.basis]
  if (one.bill === null) return { usd: one.cost_usd, word, why, replaced: false }
  const byPrices = one.cost_usd === null ? 'What prices would make of it is not known' : `By prices it would be ${exactUsd(one.cost_usd) ?? ''}`
  const isAlone = !attempts.some((other) => other !== one && other.job_id === one.job_id && other.attempt === one.attempt)
  if (one.bill.scope === 'attempt' && isAlone) return { usd: one.bill.amount_usd, word, why: byPrices, replaced: false }
  const of = `bill of the ${one.bill.scope}`
  return { usd: one.cost_usd, word: of, why: `${byPrices}; the ${of}, ${exactUsd(one.bill.amount_usd) ?? ''}, counts instead`, replaced: true }
}

/** What the total is from. */
export function basisOf({ attempts, history, cost_usd, n_unpriced }: RunCosts): string {
  if (cost_usd === null) return ''
  const bases = new Set(attempts.map((one) => one.basis))
  const billed = bases.has('recorded') || (attempts.length === 0 && history.some((one) => one.kind === 'cost_recorded'))
  const priced = bases.has('computed') || bases.has('partly')
  const what = billed && priced ? 'bills, and the prices of machines' : billed ? 'a bill' : 'the prices of machines'
  return n_unpriced === 0 ? what : `${what}; at least, for not all have a price`
}

/** One of the history: what was said. What came of it stands beside it. */
export function reportWords(report: CostReport): string {
  if (report.kind === 'cost_recorded') {
    const attempt = typeof report.attempt === 'number' ? `, attempt ${report.attempt}` : ''
    const of = report.job_id ? `${short(report.job_id)}${attempt}` : 'the run'
    return `Bill of ${of}: ${formatUsd(report.amount_usd)}${report.basis ? ` (${cutMiddle(showHidden(report.basis), 80)})` : ''}`
  }
  const since = report.effective_from ? ` from ${report.effective_from.slice(0, 16).replace('T', ' ')} UTC on` : ''
  const by = report.recorded_by ? `, said by ${short(report.recorded_by)}` : ''
  return `Price of ${short(report.instance_type ?? '')} (${report.capacity ?? ''}): ${exactUsd(report.usd_per_hour) ?? ''} an hour${since}${by}`
}

/** n: of how many attempts something is missing. */
export interface Missing { n: number; why: string; commands: string[] }

const MOST_MACHINES = 3

/** Why nothing, or not all, is known of the costs, and the lines that would make it known. Null: nothing is missing. */
export function missingOf(costs: RunCosts): Missing | null {
  const { cost_usd, n_attempts, n_running, n_unpriced: n } = costs
  const unpriced = unpricedOf(costs.attempts)
  if (cost_usd !== null && unpriced.length === 0) return null
  const nameless = unpriced.filter((one) => one.instance_type === null)
  const machines = new Map<string, AttemptCost>()
  for (const one of unpriced) if (one.instance_type !== null) machines.set(`${one.instance_type} ${capacityOf(one)}`, machines.get(`${one.instance_type} ${capacityOf(one)}`) ?? one)
  if (n_attempts === 0 || (machines.size === 0 && nameless.length > 0)) {
    return { n, why: 'the sender has not said which machine it runs on. Set it where the script runs, and say what such a machine costs:', commands: ['export ARGUS_INSTANCE_TYPE=TYPE', 'argus prices set TYPE --capacity on-demand --usd-per-hour 1.00 --from 2026-01-01'] }
  }
  if (machines.size === 0) return n_running > 0 ? { n, why: 'it goes on. An attempt is paid for when it is over.', commands: [] } : null
  const shown = [...machines.values()].slice(0, MOST_MACHINES)
  const more = machines.size > MOST_MACHINES ? `, and of ${formatCount(machines.size - MOST_MACHINES)} others` : ''
  return {
    n,
    why: `nobody has said what ${shown.map((one) => `${short(one.instance_type ?? '')} (${capacityOf(one)})`).join(', ')}${more} costs an hour. An administrator can:`,
    commands: shown.map((one) => shellCommand(['argus', 'prices', 'set', one.instance_type ?? '', '--capacity', capacityOf(one), '--usd-per-hour', '1.00', '--from', one.started_at.slice(0, 10)])),
  }
}
