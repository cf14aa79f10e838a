import { describe, expect, it } from 'vitest'

import { asked, changed, isFiltered, lostOnRunsList, readQuery, runsListOf, splitNames, writeQuery, type DashboardQuery } from './dashboardQuery'

const plain: DashboardQuery = readQuery({})

describe('the address', () => {
  it('writes no defaults and reads back what it wrote', () => {
    expect(writeQuery(plain)).toEqual({})
    const query: DashboardQuery = { ...plain, days: 'all', status: 'failed', label: 'a b', size: 'over_1_tib', search: 'x', sort: 'name_desc', user: '*', cluster: 'c', cursor: 'zz' }
    const written = writeQuery(query)
    expect(written).toEqual({ days: 'all', status: 'failed', label: 'a b', size: 'over_1_tib', search: 'x', sort: 'name_desc', user: '*', cluster: 'c', cursor: 'zz' })
    expect(readQuery({ ...Object.fromEntries(Object.entries(written).map(([key, value]) => [key, String(value)])) })).toEqual(query)
  })

  it('takes a stranger for its default', () => {
    expect(readQuery({ days: '31', status: 'running', size: 'huge', sort: 'cost', label: ['a', 'b'], search: null })).toEqual(plain)
  })

  it('begins at the first page where the runs or their order are others', () => {
    expect(changed({ ...plain, cursor: 'c' }, { sort: 'oldest' })).toMatchObject({ sort: 'oldest', cursor: '' })
    expect(changed(plain, { cursor: 'd' }).cursor).toBe('d')
  })

  it('knows when the filter row says something', () => {
    expect(isFiltered({ ...plain, days: '7', user: 'eve' })).toBe(false)
    expect(isFiltered({ ...plain, label: 'x' })).toBe(true)
  })
})

describe('a named set', () => {
  it('is split at spaces, but not where each name stands alone', () => {
    expect(splitNames(readQuery({ names: 'run-a  run-b run-a' }).names)).toEqual(['run-a', 'run-b'])
    expect(splitNames(readQuery({ names: ['my run', 'other'] }).names)).toEqual(['my run', 'other'])
    expect(splitNames(readQuery({ names: ['my run', null] }).names)).toEqual(['my run'])
  })

  it('is asked for as it stands in the address, without any filter', () => {
    expect(asked(readQuery({ names: 'run-a run-b', days: '7', user: '*' }))).toEqual({ names: ['run-a run-b'] })
    expect(asked(readQuery({ names: ['my run', ''] }))).toEqual({ names: ['my run', ''] })
    expect(writeQuery(readQuery({ names: 'run-a run-b' }))).toEqual({ names: 'run-a run-b' })
  })

  it('is none where no name is in it', () => {
    expect(readQuery({ names: ' ' }).names).toEqual([])
    expect(readQuery({ names: ['', null] }).names).toEqual([])
  })
})

describe('the list of all runs', () => {
  it('is of the same user, with the filters that it has', () => {
    expect(runsListOf(plain, 'ada')).toEqual({ name: 'runs', query: { user: 'ada' } })
    expect(runsListOf({ ...plain, user: '*', status: 'failed', label: 'gpu' }, 'ada')).toEqual({ name: 'runs', query: { search: 'gpu', status: ['failed', 'aborted'] } })
    expect(runsListOf({ ...plain, user: 'eve', search: 'x', label: 'gpu', status: 'succeeded' }, 'ada')).toEqual({ name: 'runs', query: { search: 'x', status: ['succeeded'], user: 'eve' } })
  })

  it('says what it cannot be asked', () => {
    expect(lostOnRunsList(plain)).toEqual(['the time'])
    expect(lostOnRunsList({ ...plain, days: 'all', label: 'gpu' })).toEqual([])
    expect(lostOnRunsList({ ...plain, days: '7', label: 'gpu', search: 'x', size: 'over_1_gib', cluster: 'c' })).toEqual(['the time', 'the size', 'the label', 'the cluster'])
  })

  it('finds one name, and not several', () => {
    const named = (names: string) => readQuery({ names, size: 'over_1_gib', user: 'eve' })
    expect([runsListOf(named('run-a'), 'ada'), lostOnRunsList(named('run-a'))]).toEqual([{ name: 'runs', query: { search: 'run-a' } }, []])
    expect([runsListOf(named('run-a run-b'), 'ada'), lostOnRunsList(named('run-a run-b'))]).toEqual([{ name: 'runs', query: {} }, ['the names']])
  })
})
