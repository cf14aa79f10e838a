import type { Series } from '@/api/types'

export type XAxis = 'step' | 'time'

/** One curve ready to draw. Arrays have the same length and are sorted by x; null in `y` is a gap. */
export interface Curve {
  key: string
  x: number[]
  y: (number | null)[]
  /** Present where the server thinned the curve: the extremes inside each bucket. */
  min: (number | null)[]
  max: (number | null)[]
  notFinite: { x: number; value: string }[]
}

/** Points of a job that arrived live, behind the position of the fetched series. */
export interface LivePoint {
  position: number
  attempt: number
  step: number
  time_ms: number
  values: [string, number | string][]
}

export interface CurveOptions {
  x: XAxis
  /** Both inclusive; null: everything. */
  range: [number, number] | null
  /** True for what comes at a steady pace: a long silence is a gap and not a line. */
  steady?: boolean
  /** True: a later attempt replaces an earlier one from its first step on. False: all attempts one after another. */
  stitched: boolean
}

interface Point { attempt: number; step: number; time_ms: number; value: number | null; min: number | null; max: number | null; bad: string | null }

/** The fetched series with the live points behind it, as curves. Neither argument is changed. */
export function toCurves(series: readonly Series[], tail: readonly LivePoint[], keys: readonly string[], options: CurveOptions): Curve[] {
  return keys.map((key) => {
    const base = series.find((one) => one.key === key)
    const live = tail.flatMap((one) => livePoint(one, key))
    return (base && grown(base, live, options)) ?? drawAll(key, base, live, options)
  })
}

function drawAll(key: string, base: Series | undefined, live: readonly Point[], options: CurveOptions): Curve {
  const points = base ? pointsOf(base) : []
  const merged = live.length > 0 ? inOrder([...points, ...live]) : points
  const marks = (base?.not_finite ?? []).map((one) => ({ x: options.x === 'step' ? one.step : one.time_ms, value: one.value }))
  return draw(key, options.stitched ? stitch(merged) : merged, marks, base?.bucketed ?? false, options)
}

/** Curves without live points, by how they are looked at: a point that arrives costs itself and not the whole curve. */
const drawn = new WeakMap<Series, Map<string, Curve>>()

/** The curve with live points that all lie behind its end; the same object while nothing new is in the range. Null: not so. */
function grown(base: Series, live: readonly Point[], options: CurveOptions): Curve | null {
  const last = base.step.length - 1
  if (last < 0 || (options.steady && live.length > 0)) return null
  const attempt = base.attempt[last] ?? 1
  let step = base.step[last] ?? 0
  let time = base.time_ms[last] ?? 0
  for (const point of live) {
    if (point.attempt !== attempt || point.step <= step || point.time_ms < time) return null
    ;({ step, time_ms: time } = point)
  }
  const whole = alone(base, options)
  const { x, range } = options
  const fresh = live.filter((point) => {
    const at = x === 'step' ? point.step : point.time_ms
    return !range || (at >= range[0] && at <= range[1])
  })
  if (fresh.length === 0) return whole
  const xs = fresh.map((point) => (x === 'step' ? point.step : point.time_ms))
  const ys = fresh.map((point) => point.value)
  const bands = base.bucketed ? ys : []
  const bad = fresh.flatMap((point, i) => (point.bad === null ? [] : [{ x: xs[i] ?? 0, value: point.bad }]))
  return {
    key: whole.key, x: whole.x.concat(xs), y: whole.y.concat(ys), min: whole.min.concat(bands), max: whole.max.concat(bands),
    notFinite: whole.notFinite.concat(bad),
  }
}

function alone(base: Series, options: CurveOptions): Curve {
  const { x, range, stitched, steady = false } = options
  const look = [x, range?.join() ?? '', stitched, steady].join(' ')
  const known = drawn.get(base) ?? new Map<string, Curve>()
  drawn.set(base, known)
  const curve = known.get(look) ?? drawAll(base.key, base, [], options)
  if (known.size > 8) known.clear()
  known.set(look, curve)
  return curve
}

function pointsOf(base: Series): Point[] {
  return base.step.map((step, i) => ({
    attempt: base.attempt[i] ?? 1,
    step,
    time_ms: base.time_ms[i] ?? 0,
    value: base.value[i] ?? null,
    min: base.min?.[i] ?? null,
    max: base.max?.[i] ?? null,
    bad: null,
  }))
}

function livePoint(one: LivePoint, key: string): Point[] {
  const found = one.values.find(([name]) => name === key)
  if (!found) return []
  const value = found[1]
  const finite = typeof value === 'number' ? value : null
  const { attempt, step, time_ms } = one
  return [{ attempt, step, time_ms, value: finite, min: finite, max: finite, bad: typeof value === 'number' ? null : value }]
}

function inOrder(points: Point[]): Point[] {
  return points.sort((a, b) => a.attempt - b.attempt || a.step - b.step || a.time_ms - b.time_ms)
}

/** What a resume from a checkpoint did over again is drawn once: as the later attempt has it. */
export function stitch<T extends { attempt: number; step: number }>(points: readonly T[]): T[] {
  const firstStep = new Map<number, number>()
  for (const point of points) firstStep.set(point.attempt, Math.min(point.step, firstStep.get(point.attempt) ?? Infinity))
  if (firstStep.size < 2) return [...points]
  return points.filter((point) => ![...firstStep].some(([attempt, first]) => attempt > point.attempt && point.step >= first))
}

function draw(key: string, points: Point[], marks: Curve['notFinite'], bucketed: boolean, { x, range, stitched, steady = false }: CurveOptions): Curve {
  const curve: Curve = { key, x: [], y: [], min: [], max: [], notFinite: [...marks] }
  const ordered = x === 'time' ? [...points].sort((a, b) => a.time_ms - b.time_ms) : points
  const farApart = x === 'time' && steady ? gapLimit(ordered.map((point) => point.time_ms)) : Infinity
  let before: Point | null = null
  for (const point of ordered) {
    const at = x === 'step' ? point.step : point.time_ms
    if (range && (at < range[0] || at > range[1])) continue
    const newAttempt = before !== null && before.attempt !== point.attempt && !stitched
    const silent = before !== null && x === 'time' && point.time_ms - before.time_ms > farApart
    if (newAttempt || silent) push(curve, at, null, null, null, bucketed)
    push(curve, at, point.value, point.min, point.max, bucketed)
    if (point.bad !== null) curve.notFinite.push({ x: at, value: point.bad })
    before = point
  }
  if (range) curve.notFinite = curve.notFinite.filter((mark) => mark.x >= range[0] && mark.x <= range[1])
  return curve
}

function push(curve: Curve, x: number, y: number | null, min: number | null, max: number | null, bucketed: boolean): void {
  curve.x.push(x)
  curve.y.push(y)
  if (bucketed) {
    curve.min.push(min ?? y)
    curve.max.push(max ?? y)
  }
}

/** Silence of more than five usual intervals is a gap and not a line. */
function gapLimit(times: readonly number[]): number {
  if (times.length < 4) return Infinity
  const steps = times.slice(1).map((time, i) => time - (times[i] ?? time)).sort((a, b) => a - b)
  const median = steps[Math.floor(steps.length / 2)] ?? 0
  return median > 0 ? Math.max(median * 5, 1000) : Infinity
}

/**
 * Exponential moving average without the pull towards 0 at the start (as in Adam's bias correction).
 * weight: 0 (nothing) to below 1; gaps stay gaps and do not count.
 */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return [...values]
  let average = 0
  let correction = 1
  return values.map((value) => {
    if (value === null) return null
    average = average * weight + value * (1 - weight)
    correction *= weight
    return average / (1 - correction)
  })
}

/** Index of the point nearest to `x`, or -1; `xs` is sorted. */
export function nearest(xs: readonly number[], x: number): number {
  if (xs.length === 0) return -1
  let low = 0
  let high = xs.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((xs[middle] ?? 0) <= x) low = middle
    else high = middle
  }
  return Math.abs((xs[low] ?? 0) - x) <= Math.abs((xs[high] ?? 0) - x) ? low : high
}

/** A table of the curves as they are drawn, one row per x. */
export function curveTable(curves: readonly Curve[], x: XAxis): (string | number | null)[][] {
  const header = [x === 'step' ? 'step' : 'time_utc', ...curves.flatMap((one) => (one.min.length > 0 ? [one.key, `${one.key}.min`, `${one.key}.max`] : [one.key]))]
  const rows = new Map<number, Map<string, number | string | null>>()
  for (const one of curves) {
    one.x.forEach((at, i) => {
      const row = rows.get(at) ?? new Map<string, number | string | null>()
      const y = one.y[i] ?? null
      if (y !== null || !row.has(one.key)) row.set(one.key, y)
      if (one.min.length > 0) {
        row.set(`${one.key}.min`, one.min[i] ?? null)
        row.set(`${one.key}.max`, one.max[i] ?? null)
      }
      rows.set(at, row)
    })
    for (const mark of one.notFinite) {
      const row = rows.get(mark.x) ?? new Map<string, number | string | null>()
      row.set(one.key, mark.value)
      rows.set(mark.x, row)
    }
  }
  const body = [...rows].sort(([a], [b]) => a - b).map(([at, row]) => [
    x === 'step' ? at : new Date(at).toISOString(),
    ...header.slice(1).map((name) => row.get(name) ?? null),
  ])
  return [header, ...body]
}
