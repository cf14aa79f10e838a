/** Days of the calendar in UTC, as the server counts them: `2026-11-02`. */

import type { DashboardSpend } from '@/api/types'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const DAY_MS = 86_400_000

interface Day { year: number; month: string; day: number }

function parts(iso: string): Day {
  const [year = 0, month = 1, day = 1] = iso.split('-').map(Number)
  return { year, month: MONTHS[month - 1] ?? '', day }
}

/** `2 Nov`. */
function shortDay(iso: string): string {
  const { month, day } = parts(iso)
  return `${day} ${month}`
}

/** `Nov 2026`. */
function shortMonth(iso: string): string {
  const { month, year } = parts(iso)
  return `${month} ${year}`
}

/** `2 Nov 2026`, `2 – 8 Nov 2026`, `30 Nov – 6 Dec 2026`; both ends belong to it. */
export function spanWords(first: string, last: string): string {
  const [a, b] = [parts(first), parts(last)]
  const end = `${b.day} ${b.month} ${b.year}`
  if (first === last) return end
  if (a.year !== b.year) return `${a.day} ${a.month} ${a.year} – ${end}`
  return a.month === b.month ? `${a.day} – ${end}` : `${a.day} ${a.month} – ${end}`
}

/** The same under every chart: a month by its name, another bucket by its first day. */
export const bucketLabel = (unit: DashboardSpend['unit'], first: string): string => (unit === 'month' ? shortMonth(first) : shortDay(first))

/** The day after: `2026-12-01` after `2026-11-30`. */
export const nextDay = (iso: string): string => new Date(Date.parse(`${iso}T00:00:00Z`) + DAY_MS).toISOString().slice(0, 10)
