import { describe, expect, it } from 'vitest'

import { ApiError } from '@/api/problem'

import { commonProblem, oldWords } from './problems'

const broken = (requestId: string) => new ApiError(503, 'busy', 'Busy', 'too much to do', requestId)
const away = () => new TypeError('Failed to fetch')

describe('several problems', () => {
  it('are one where all are the same, whatever the request', () => {
    expect(commonProblem([broken('a'), broken('b')])?.requestId).toBe('a')
    expect(commonProblem([away(), away()])).toMatchObject({ status: 0, title: 'Argus cannot be reached' })
  })

  it('are one also while others are on their way', () => {
    expect(commonProblem([broken('a'), null, broken('b'), null])?.requestId).toBe('a')
  })

  it('are none where there is one alone, or another', () => {
    expect(commonProblem([null, broken('a')])).toBeNull()
    expect(commonProblem([broken('a'), away()])).toBeNull()
    expect(commonProblem([broken('a'), null, away()])).toBeNull()
    expect(commonProblem([null, null])).toBeNull()
  })

  it('say whether Argus is there at all', () => {
    expect(oldWords([null, away()])).toContain('Argus cannot be reached: what is shown may be out of date')
    expect(oldWords([broken('a')])).toContain('Not everything here')
  })
})
