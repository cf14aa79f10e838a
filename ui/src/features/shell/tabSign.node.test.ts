import { expect, it } from 'vitest'

import { tabIcon, tabTitle } from './tabSign'

it('a tab tells how far its run is and how it ended', () => {
  expect(tabTitle('Runs', null)).toBe('Runs · Argus')
  expect(tabTitle('train', { status: 'running', progress: 0.426 })).toBe('43 % train · Argus')
  expect(tabTitle('train', { status: 'running', progress: null })).toBe('▶ train · Argus')
  expect(tabTitle('train', { status: 'failed', progress: 0.4 })).toBe('✕ train · Argus')
  expect(tabTitle('train', { status: 'succeeded', progress: 1 })).toBe('✓ train · Argus')
})

it('the icon has the colour of the status, and none where there is no status', () => {
  expect(tabIcon(null)).toBe('/argus.svg')
  expect(tabIcon({ status: 'deleted', progress: null })).toBe('/argus.svg')
  expect(decodeURIComponent(tabIcon({ status: 'failed', progress: null }))).toContain('#f36a63')
})
