import { describe, expect, it } from 'vitest'

import type { LiveEvent } from '@/api/live'
import type { JobSummary } from '@/api/types'
import { livePoint } from '@/features/job/foldJob'

import { clockNotice } from './clockNotice'
import { foldSummary, lossKey } from './foldSummary'
import { bestAndWorst, jobMatrix } from './jobMatrix'
import { jobsOfMatrix } from './jobsOfMatrix'
import { matrixLayout, nextPlace } from './matrixLayout'
import { sortJobs } from './sortJobs'
import { withEvents } from './withEvents'

const job = (job_id: string, over: Partial<JobSummary> = {}): JobSummary => ({
  batch_id: 'b', job_id, name: job_id, model: null, dataset: null, status: 'running', status_since: null, started_at: '2026-11-21T00:00:00Z',
  ended_at: null, last_activity_at: null, elapsed_s: null, attempt: 1, epoch: null, step: null, n_epochs_expected: null, n_steps_expected: null,
  progress: null, eta_s: null, loss_key: null, loss: null, train_loss: null, val_loss: null, sparkline: null, gpu_util_pct: null,
  gpu_memory_peak_bytes: null, host: null, reason: null, ...over,
})
const event = (kind: string, data: Record<string, unknown>, at = '2026-11-21T00:01:00Z'): LiveEvent => ({
  position: 5, kind, batch_id: 'b', job_id: 'j', attempt: 1, occurred_at: at, data,
})

describe('best and worst', () => {
  const done = (id: string, loss: JobSummary['loss']) => job(id, { status: 'succeeded', loss, loss_key: 'val_loss' })
  it('marks one of each among those that ended well with a finite loss', () => {
    expect(bestAndWorst([done('a', 0.3), done('b', 0.1), done('c', 0.9), job('d', { loss: 0.01 }), done('e', 'NaN')])).toEqual({ best: 'b', worst: 'c' })
  })
  it('marks nobody where there is no contest or a tie', () => {
    expect(bestAndWorst([done('a', 0.3)])).toEqual({ best: null, worst: null })
    expect(bestAndWorst([done('a', 0.3), done('b', 0.3)])).toEqual({ best: null, worst: null })
    expect(bestAndWorst([done('a', 0.1), done('b', 0.1), done('c', 0.3)])).toEqual({ best: null, worst: 'c' })
  })
})

describe('clocks', () => {
  it('that agree are not spoken of; a fast one is told from what may be late', () => {
    expect(clockNotice({ clock_offset_s: null })).toBeNull()
    expect(clockNotice({ clock_offset_s: 600 })).toContain('10 m 0 s ahead')
    expect(clockNotice({ clock_offset_s: -86_400 })).toContain('1 d 0 h after the time that it states')
  })
})

describe('matrix', () => {
  it('puts jobs by model and dataset, in natural order, several in one cell', () => {
    const matrix = jobMatrix([job('1', { model: 'm10', dataset: 'd' }), job('2', { model: 'm2', dataset: 'd' }), job('3', { model: 'm2', dataset: 'd' }), job('4')])
    expect(matrix?.models).toEqual(['m2', 'm10'])
    expect(matrix?.cell('m2', 'd').map((one) => one.job_id)).toEqual(['2', '3'])
    expect(matrix?.rest.map((one) => one.job_id)).toEqual(['4'])
    expect(jobMatrix([job('1'), job('2', { model: 'm' })])).toBeNull()
  })
})

describe('the columns of an answer', () => {
  it('become rows; an empty column is unknown for all of them, a missing name is the id', () => {
    const rows = jobsOfMatrix('b', {
      position: 1, job_id: ['j1', 'j2'], status: ['failed', 'running'], name: [null, 'second'], progress: [], n_epochs_expected: [null, 4], n_steps_expected: [],
      loss: ['NaN', 0.5], model: [0, 0], dataset: [], loss_key: [1, 1], reason: [2, null], texts: ['mlp', 'val_loss', 'out of memory'], next_cursor: null, total: 2,
    })
    expect(rows).toEqual([
      job('j1', { status: 'failed', started_at: null, loss: 'NaN', loss_key: 'val_loss', model: 'mlp', reason: 'out of memory' }),
      job('j2', { name: 'second', started_at: null, n_epochs_expected: 4, loss: 0.5, loss_key: 'val_loss', model: 'mlp' }),
    ])
  })
})

describe('the lines of a matrix', () => {
  const jobs = ['a', 'b'].flatMap((model) => ['x', 'y'].flatMap((dataset) =>
    Array.from({ length: model === 'a' && dataset === 'x' ? 5 : 1 }, (_, i) => job(`${model}${dataset}${i}`, { model, dataset }))))
  const rest = [job('r0'), job('r1'), job('r2')]
  const layout = matrixLayout([...jobs, ...rest], jobMatrix([...jobs, ...rest]), 2, 2)
  const ids = layout.lines.map((line) => layout.cells(line).map((cell) => cell.map((one) => one.job_id)))

  it('a full cell takes several lines of equal height, and every job stands once', () => {
    expect(layout.lines.map((line) => line.kind)).toEqual(['model', 'model', 'model', 'model', 'heading', 'rest', 'rest'])
    expect(ids).toEqual([[['ax0', 'ax1'], ['ay0']], [['ax2', 'ax3'], []], [['ax4'], []], [['bx0'], ['by0']], [[]], [['r0', 'r1']], [['r2']]])
    expect(ids.flat(2).sort()).toEqual([...jobs, ...rest].map((one) => one.job_id).sort())
  })
  it('without models and datasets all jobs are lines', () => {
    const plain = matrixLayout(rest, jobMatrix(rest), 9, 2)
    expect(plain.lines.map((line) => plain.cell(line, 0).length)).toEqual([2, 1])
  })
  it('keys walk from tile to tile over what is empty, and stop at the edges', () => {
    const at = (line: number, column: number, slot: number) => ({ line, column, slot })
    expect(nextPlace(layout, null, 0, 1)).toEqual(at(0, 0, 0))
    expect(nextPlace(layout, at(0, 0, 1), 1, 0)).toEqual(at(0, 1, 0))
    expect(nextPlace(layout, at(0, 1, 0), 1, 0)).toEqual(at(0, 1, 0))
    expect(nextPlace(layout, at(0, 1, 0), 0, 1)).toEqual(at(1, 0, 0))
    expect(nextPlace(layout, at(3, 1, 0), 0, 1)).toEqual(at(5, 0, 0))
    expect(nextPlace(layout, at(6, 0, 0), 0, 1)).toEqual(at(6, 0, 0))
  })
})

describe('sorting', () => {
  it('uses raw values and puts the unknown last in both directions', () => {
    const jobs = [job('a', { loss: 10 }), job('b'), job('c', { loss: 9 }), job('d', { loss: 'NaN' })]
    expect(sortJobs(jobs, 'loss', false).map((one) => one.job_id)).toEqual(['c', 'a', 'b', 'd'])
    expect(sortJobs(jobs, 'loss', true).map((one) => one.job_id)).toEqual(['a', 'c', 'b', 'd'])
    expect(sortJobs([job('j10'), job('j2')], 'job', false).map((one) => one.job_id)).toEqual(['j2', 'j10'])
    expect(sortJobs([job('j10'), job('j2')], 'job', true).map((one) => one.job_id)).toEqual(['j10', 'j2'])
  })
})

describe('rows and events', () => {
  const about = (job_id: string | null, kind: string, data: Record<string, unknown> = {}): LiveEvent => ({ ...event(kind, data), job_id })
  it('a job that is new gets a row in its place, with what its start says', () => {
    const rows = withEvents([job('j1'), job('j10')], [
      about('j2', 'job_start', { name: 'second', model: 'mlp', dataset: 'digits', n_epochs_expected: 4 }),
      about('j2', 'job_epoch', { epoch: 1, metrics: { loss: 0.5 } }), about('j3', 'job_submitted', {}), about(null, 'batch_heartbeat'),
    ])
    expect(rows.map((one) => [one.job_id, one.status])).toEqual([['j1', 'running'], ['j2', 'running'], ['j3', 'queued'], ['j10', 'running']])
    expect(rows[1]).toMatchObject({ name: 'second', model: 'mlp', dataset: 'digits', loss: 0.5, progress: 0.25 })
  })
  it('the other rows stay the same objects', () => {
    const jobs = [job('a'), job('b')]
    const rows = withEvents(jobs, [about('b', 'job_failed', { reason: 'x' })])
    expect(rows[0]).toBe(jobs[0])
    expect(rows[1]).toMatchObject({ status: 'failed', reason: 'x' })
    expect(jobs[1]?.status).toBe('running')
  })
  it('a late submission does not queue again what runs', () => {
    expect(withEvents([job('a')], [about('a', 'job_submitted', {})])[0]?.status).toBe('running')
  })
})

describe('what an event changes at once', () => {
  it('a point: progress as the server counts it, so that a bar never steps back', () => {
    const after = (known: Partial<JobSummary>, data: Record<string, unknown>) => foldSummary(job('j', known), event('job_epoch', { metrics: {}, ...data })).progress
    expect(after({ n_epochs_expected: 10 }, { epoch: 0 })).toBe(0.1)
    expect(after({ n_epochs_expected: 10, epoch: 3, progress: 0.4 }, { epoch: 4 })).toBe(0.5)
    expect(after({ n_epochs_expected: 10, epoch: 3, progress: 0.3 }, { epoch: 4 })).toBe(0.4)
    expect(after({ n_epochs_expected: 10, n_steps_expected: 100 }, { epoch: 1, step: 5 })).toBe(0.05)
  })
  it('a point: loss, progress, ETA, sparkline', () => {
    const next = foldSummary(job('j', { n_epochs_expected: 10 }), event('job_epoch', { epoch: 4, metrics: { train_loss: 0.5, val_loss: 'NaN' } }))
    expect(next).toMatchObject({ epoch: 4, progress: 0.4, elapsed_s: 60, eta_s: 90, loss_key: 'val_loss', loss: 'NaN', train_loss: 0.5 })
    expect(next.sparkline).toEqual({ key: 'val_loss', steps: [4], values: [null] })
  })
  it('a sparkline never grows beyond 64 points', () => {
    let one = job('j')
    for (let step = 0; step < 500; step += 1) one = foldSummary(one, event('job_epoch', { step, metrics: { loss: 1 / (step + 1) } }))
    expect(one.sparkline?.steps.length).toBeLessThanOrEqual(64)
    expect(one.sparkline?.steps.at(-1)).toBe(499)
  })
  it('an end: status, reason, no ETA', () => {
    expect(foldSummary(job('j', { eta_s: 5 }), event('job_failed', { reason: 'CUDA out of memory' }))).toMatchObject({ status: 'failed', reason: 'CUDA out of memory', eta_s: null, elapsed_s: 60 })
  })
  it('a snapshot: mean over the GPUs, highest sum', () => {
    const gpus = [{ index: 0, util_pct: 80, memory_used_bytes: 10 }, { index: 1, util_pct: 20, memory_used_bytes: 30 }]
    const next = foldSummary(job('j', { gpu_memory_peak_bytes: 35 }), event('resource_snapshot', { gpus }))
    expect(next).toMatchObject({ gpu_util_pct: 50, gpu_memory_peak_bytes: 40 })
    expect(livePoint(event('resource_snapshot', { gpus, cpu_pct: 12 }))?.values).toContainEqual(['gpu.1.util_pct', 20])
  })
  it('names the loss as the server does', () => {
    expect(lossKey(['acc', 'train_loss', 'val_loss'])).toBe('val_loss')
    expect(lossKey(['acc', 'box_loss'])).toBe('box_loss')
    expect(lossKey(['acc'])).toBeNull()
  })
})
